import { readFileSync } from 'node:fs'

/** The version of Sluice, as package.json says. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes a configuration into a folder of its own, made of one in bench/peers/ in which each `@NAME@` is filled in. */
export function writeConfiguration(
  template: string,
  folder: string,
  values: Readonly<Record<string, string | number>>,
): { readonly prefix: string; readonly file: string } {
  const text = readFileSync(`bench/peers/${template}`, 'utf8').replace(/@([A-Z]+)@/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`${template} wants ${name}`)
    return String(value)
  })
  const prefix = join(folder, `${template}-${values.PORT}`)
  mkdirSync(prefix, { recursive: true })
  const file = join(prefix, template)
  writeFileSync(file, text)
  return { prefix, file }
}

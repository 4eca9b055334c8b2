import { type LineCounter, parseDocument } from 'yaml'

/** Parses one document of YAML 1.2, errors included; undefined where it is nested too deeply for the parser. */
export function parseYaml(text: string, lines: LineCounter) {
  try {
    return parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      // Ours to check: the package compares every key with every other.
      uniqueKeys: false,
      schema: 'core',
      logLevel: 'error',
    })
  } catch {
    // The parser recurses; a megabyte of brackets ends its stack.
    return undefined
  }
}

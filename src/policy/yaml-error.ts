import type { YAMLError } from 'yaml'

/** Errors after which the rest of the file still reads as it was meant. */
const HARMLESS: ReadonlySet<string> = new Set([
  'TAB_AS_INDENT',
  'BAD_DQ_ESCAPE',
  'BAD_SCALAR_START',
  'TAG_RESOLVE_FAILED',
  'ALIAS_PROPS',
  'MULTIPLE_ANCHORS',
  'MULTIPLE_TAGS',
  'MULTIPLE_DOCS',
])

const SENTENCES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'a tab indents this line; write spaces',
  BAD_DQ_ESCAPE: "this escape is not known in double quotes; write '...' in single quotes, or two backslashes for one",
  BAD_SCALAR_START: 'a value cannot start with this character; write it in quotes',
  TAG_RESOLVE_FAILED: 'tags (!name) are not used in policies; leave it out',
  MULTIPLE_DOCS: 'a second document starts here; write one policy a file, without --- between',
  BAD_ALIAS: 'this alias is not complete; write * and the name of an anchor',
  BLOCK_AS_IMPLICIT_KEY:
    'a value and a key stand on one line, or a line is indented too far; write each key on a line of its own',
  MULTILINE_IMPLICIT_KEY: 'a key goes over several lines, or has no colon; write key: value on one line',
  BAD_INDENT:
    'the indentation does not fit, or a bracket is not closed; write as many spaces as the line above, or close it',
  MISSING_CHAR: 'a quote, a bracket, a comma or a colon is missing here; write it',
  BLOCK_IN_FLOW: 'a block stands inside brackets; write it on one line, or without the brackets',
  KEY_OVER_1024_CHARS: 'a key is longer than 1024 characters; write a shorter one',
  UNEXPECTED_TOKEN:
    'this is not expected here; put text with special characters in quotes, or check indentation and brackets',
}

/** Whether what follows the error can still be taken for what was meant. */
export function isHarmless(error: YAMLError): boolean {
  return HARMLESS.has(error.code)
}

/** Whether the error is that of a quote whose other end is missing; it is only found at the end of the file. */
export function isNeverClosed(error: YAMLError): boolean {
  return error.code === 'MISSING_CHAR' && error.message.startsWith('Missing closing')
}

/** What is wrong with the YAML, and what to write. `line` is the line of the error. */
export function explainYamlError(error: YAMLError, line: string): string {
  if (isNeverClosed(error)) return 'a quote opens here and is never closed; write the other one'
  const sentence = SENTENCES[error.code] ?? 'this is not valid YAML; check indentation, quotes and brackets'
  if (isHarmless(error) || !isVariableInBrackets(line)) return sentence
  return `${sentence} (between brackets a variable needs quotes: "\${NAME}")`
}

function isVariableInBrackets(line: string): boolean {
  const bracket = line.search(/[[{,]/)
  return bracket !== -1 && line.includes('${', bracket + 1)
}

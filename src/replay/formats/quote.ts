const LENGTH = 60

/** A part of a line as a message shows it: short, on one line, and nothing that a terminal would obey. */
export function quote(text: string): string {
  return `'${escapeControls(text.length <= LENGTH ? text : `${text.slice(0, LENGTH - 3)}...`)}'`
}

/** Text (latin1) of printable ASCII, with all else as `\\x1b`. */
export function escapeControls(text: string): string {
  return text.replace(/[^ -~]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

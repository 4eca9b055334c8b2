/**
 * Reads the first line of a message, which the header section follows. `scan` gets the bytes from the line's start, and gives
 * the offset behind it, or one of the codes below where there is none.
 */
export type StartLine = {
  scan(bytes: Buffer, from: number, to: number): number
}

/** The line goes on behind the bytes. */
export const MORE = -1
/** The bytes are no such line. */
export const MALFORMED = -2

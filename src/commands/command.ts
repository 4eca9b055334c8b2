/** What a command has of the world; main.ts alone gives it the real one. */
export type CommandIo = {
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
}

/** 0 fine, 1 problems found, 2 wrong usage. */
export type ExitCode = 0 | 1 | 2

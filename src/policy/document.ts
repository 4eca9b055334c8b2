import { type DataMap, isMap } from './data.ts'
import { override, secretsOf } from './environment.ts'
import { type Loaded, load } from './load.ts'
import { createRedactor } from './redact.ts'
import { secretSpans, secretsIn } from './secrets.ts'
import type { Env } from './substitute.ts'

/** A policy's text as data, with the environment's overrides in it. */
export type PolicyDocument = {
  /** Without a BOM. */
  readonly text: string
  readonly loaded: Loaded
  /** Undefined where the text is no map of keys. */
  readonly root: DataMap | undefined
  /** The environment's variable behind each path that one has set. */
  readonly origins: ReadonlyMap<string, string>
  readonly redactor: ReturnType<typeof createRedactor>
}

/** Reads a policy's text, whatever it says: it never throws. */
export function openDocument(written: string, env: Env): PolicyDocument {
  const text = written.replace(/^\ufeff/, '')
  const loaded = load(text, env)
  const root = isMap(loaded.value) ? loaded.value : undefined
  const writtenSecrets = secretsIn(root)
  const origins = root === undefined ? new Map<string, string>() : override(root, env)
  const secrets = [...secretsOf(env, loaded.variables), ...writtenSecrets, ...secretsIn(root)]
  return { text, loaded, root, origins, redactor: createRedactor(text, secretSpans(loaded.places), secrets) }
}

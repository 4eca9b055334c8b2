import type { JsonWebKey } from 'node:crypto'
import { extname, isAbsolute, join } from 'node:path'
import type { Draft, Report } from './draft.ts'
import { readJwkSet } from './jwk-set.ts'
import { type KeyProblem, readKeyHashes } from './key-hashes.ts'
import type { Path } from './path.ts'
import { type PemFiles, readPemFiles } from './pem.ts'
import { MIN_SECRET_BYTES } from './rules.ts'
import { either, show } from './show.ts'
import type { RefusePolicy } from './types.ts'

/** Gives a file's text (UTF-8); throws what `fs.readFileSync` throws. */
export type ReadFile = (file: string) => string

/** What a policy's other files say, and the secrets that stand in the policy itself. */
export type FileContents = {
  /** Empty where there is none. */
  readonly secrets: readonly string[]
  readonly adminToken: string | null
  readonly password: string | null
  /** The certificates (PEM) that Redis's must be signed by. */
  readonly storeCa: string | null
  readonly body: RefusePolicy['body']
  readonly upstreamTls: PemFiles
  readonly principals: ReadonlyMap<string, string>
  /** The keys of each `identity.jwt` entry that names a file, by its index. */
  readonly jwks: readonly (readonly JsonWebKey[] | undefined)[]
}

export type FilesOptions = {
  readonly readFile: ReadFile
  /** What relative names are relative to: the policy file's folder. */
  readonly folder: string
  readonly report: Report
  /** Takes note of something wrong in the file of API keys. */
  readonly reportKey: (file: string, problem: KeyProblem) => void
}

const MAX_BODY_BYTES = 64 * 1024
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.html': 'text/html; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.xml': 'application/xml',
}
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'reading it is not permitted',
  EISDIR: 'it is a folder',
}

/** Reads the files that a policy names, and checks the secrets. What cannot be had is reported and left empty. */
export function readFiles(draft: Draft, options: FilesOptions): FileContents {
  const { report } = options
  return {
    secrets: readSecrets(),
    adminToken: readAdminToken(),
    password: readSecret(['store', 'password_file'], draft.store?.password_file) ?? (draft.store?.password || null),
    storeCa: readStoreCa(),
    body: readBody(),
    upstreamTls: readPemFiles(['upstream', 'tls'], draft.upstream?.tls ?? {}, read, report),
    principals: readPrincipals(),
    jwks: (draft.identity?.jwt ?? []).map((issuer, index) => readJwks(issuer?.jwks_file, index)),
  }

  function read(path: Path, name: string | null | undefined): { file: string; text: string } | undefined {
    if (typeof name !== 'string') return undefined
    const file = isAbsolute(name) ? name : join(options.folder, name)
    try {
      const text = options.readFile(file)
      // Bytes that are no UTF-8 would all become one character: a random key would lose what makes it random.
      if (!text.includes('\ufffd')) return { file, text }
      report(path, `${show(file)} is not UTF-8 text; write it as text, keys in hex or base64`)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
      report(path, `${show(file)} cannot be read: ${REASONS[code] ?? code}; write the name of a file that can`)
    }
    return undefined
  }

  function readSecret(path: Path, name: string | null | undefined): string | undefined {
    const text = read(path, name)?.text.replace(/\r?\n$/, '')
    if (text === '') report(path, 'names an empty file; write the secret into it')
    return text
  }

  function readSecrets(): readonly string[] {
    const { secret, secret_file } = draft.identity ?? {}
    const written = Array.isArray(secret)
      ? secret.map((text, index) => ({ text, path: ['identity', 'secret', index] }))
      : [{ text: secret, path: ['identity', 'secret'] }]
    const inFile = readSecret(['identity', 'secret_file'], secret_file)
    const given = inFile ? [...written, { text: inFile, path: ['identity', 'secret_file'] }] : written
    const secrets: string[] = []
    for (const { text, path } of given) {
      if (typeof text !== 'string' || text === '') continue
      secrets.push(text)
      if (Buffer.byteLength(text) >= MIN_SECRET_BYTES) continue
      report(
        path,
        `is shorter than ${MIN_SECRET_BYTES} bytes; write at least that, such as what openssl rand -hex 32 prints`,
      )
    }
    return secrets
  }

  function readAdminToken(): string | null {
    const path = ['admin_token_file']
    const token = readSecret(path, draft.admin_token_file)
    if (token !== undefined && /[^\x21-\x7e]/.test(token)) {
      report(
        path,
        'names a file with spaces or other characters that no header carries; write visible ASCII, on one line',
      )
    }
    return token ?? (draft.admin_token || null)
  }

  function readStoreCa(): string | null {
    const path = ['store', 'tls', 'ca_file']
    const ca = read(path, draft.store?.tls?.ca_file)
    if (ca === undefined) return null
    if (!ca.text.includes('-----BEGIN CERTIFICATE-----')) {
      report(
        path,
        `${show(ca.file)} holds no certificate; write the name of a PEM file, with -----BEGIN CERTIFICATE-----`,
      )
    }
    return ca.text
  }

  function readBody(): RefusePolicy['body'] {
    const path = ['refuse', 'body_file']
    const name = draft.refuse?.body_file
    if (typeof name !== 'string') return null
    const type = MEDIA_TYPES[extname(name).toLowerCase()]
    if (type === undefined) {
      report(
        path,
        `${show(name)} has no ending that tells its type; write one that ends in ${either(Object.keys(MEDIA_TYPES))}`,
      )
      return null
    }
    const body = read(path, name)
    if (body === undefined) return null
    if (Buffer.byteLength(body.text) > MAX_BODY_BYTES)
      report(path, `${show(body.file)} is larger than 64 KiB; write less into it`)
    return { text: body.text, type }
  }

  function readPrincipals(): ReadonlyMap<string, string> {
    const path = ['identity', 'api_keys', 'hashes_file']
    const keys = read(path, draft.identity?.api_keys?.hashes_file)
    if (keys === undefined) return new Map()
    const { principals, problems } = readKeyHashes(keys.text)
    for (const problem of problems) options.reportKey(keys.file, problem)
    return principals
  }

  function readJwks(name: string | null | undefined, index: number): readonly JsonWebKey[] | undefined {
    const path = ['identity', 'jwt', index, 'jwks_file']
    const file = read(path, name)
    if (file === undefined) return undefined
    const keys = readJwkSet(file.text)
    if ('value' in keys) return keys.value
    report(path, `${show(file.file)} ${keys.wrong}`)
    return undefined
  }
}

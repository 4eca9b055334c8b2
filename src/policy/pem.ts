import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { Report } from './draft.ts'
import type { Path } from './path.ts'
import { show } from './show.ts'

/** PEM texts; null where no file is named, or it cannot be had. */
export type PemFiles = { readonly ca: string | null; readonly cert: string | null; readonly key: string | null }

type PemNames = {
  readonly ca_file?: string | null | undefined
  readonly cert_file?: string | null | undefined
  readonly key_file?: string | null | undefined
}

type Read = (
  path: Path,
  name: string | null | undefined,
) => { readonly file: string; readonly text: string } | undefined

const CERTIFICATES = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g

/** Reads the certificates and the key that the keys below a path name, and reports what TLS could not be spoken with. */
export function readPemFiles(path: Path, names: PemNames, read: Read, report: Report): PemFiles {
  const ca = read([...path, 'ca_file'], names.ca_file)
  const cert = read([...path, 'cert_file'], names.cert_file)
  const key = read([...path, 'key_file'], names.key_file)
  if (ca !== undefined) checkCertificates([...path, 'ca_file'], ca)
  const certificate = cert && checkCertificates([...path, 'cert_file'], cert)
  const privateKey = key && readKey()
  if (certificate && privateKey && !certificate.checkPrivateKey(privateKey)) {
    report(
      [...path, 'key_file'],
      `${show(key!.file)} is not the key of the certificate in cert_file; write the one that is`,
    )
  }
  return { ca: ca?.text ?? null, cert: cert?.text ?? null, key: key?.text ?? null }

  /** Gives the first of a file's certificates. */
  function checkCertificates(at: Path, { file, text }: { file: string; text: string }): X509Certificate | undefined {
    try {
      const certificates = (text.match(CERTIFICATES) ?? []).map((pem) => new X509Certificate(pem))
      if (certificates.length > 0) return certificates[0]
    } catch {
      // Reported below, like a file that holds none.
    }
    report(at, `${show(file)} holds no certificate that can be read; write one in PEM`)
    return undefined
  }

  function readKey(): KeyObject | undefined {
    try {
      return createPrivateKey(key!.text)
    } catch {
      report(
        [...path, 'key_file'],
        `${show(key!.file)} holds no key that can be read; write one in PEM, without a passphrase`,
      )
      return undefined
    }
  }
}

/**
 * The part of a request's headers that stays the same within one device and differs between some: User-Agent and the
 * language tags of Accept-Language. Measured (identity.md): order, case, Accept, Sec-Fetch-* and client hints change
 * within one device, and a fingerprint of them is stable for none. It names a class of devices, never one.
 */
export function languageTags(acceptLanguage: string | undefined): string {
  if (acceptLanguage === undefined) return ''
  const tags = new Set<string>()
  for (const range of acceptLanguage.split(',')) {
    const tag = range.split(';', 1)[0]!.trim().toLowerCase()
    if (tag !== '') tags.add(tag)
  }
  // Sorted: the order only repeats what the q-values say, and those a client may vary.
  return [...tags].sort().join(',')
}

/** What `boundedFetch` passes on to fetch. */
type Options = Parameters<typeof fetch>[1]

/**
 * Like fetch, for responses of at most `maxBytes`: of a longer one the rest is not read, and it rejects with an error that says
 * so. An issuer that is taken over must not fill the memory.
 */
export async function boundedFetch(url: string, options: Options, maxBytes: number): Promise<Response> {
  const response = await fetch(url, options)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    // Leaving the loop cancels the body.
    if (size > maxBytes) throw new Error(`the response is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers })
}

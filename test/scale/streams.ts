import t from 'tap'
import { holdStreams } from '../fixtures/hold-streams.ts'

t.test('1,000 event streams and 1,000 WebSockets stay up for a minute, and end cleanly', async (t) => {
  await holdStreams(t, 1000, 60_000)
})

import t from 'tap'
import { holdStreams } from '../fixtures/hold-streams.ts'

// A thousand of each for a minute: npm run test:scale.
t.test('200 event streams and 200 WebSockets stay up at once, and end cleanly', async (t) => {
  await holdStreams(t, 200, 3000)
})

import t from 'tap'
import { holdOffender } from '../fixtures/random-keys.ts'

t.test('a million random keys; eviction never refills an offender', (t) => holdOffender(t, 1_000_000))

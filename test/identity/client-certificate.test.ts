import t from 'tap'
import { compileClientCertificate } from '../../src/identity/client-certificate.ts'
import type { ClientCertificatePolicy } from '../../src/policy/types.ts'

const XFCC = 'x-forwarded-client-cert'

function read(value: string | undefined, field: string | null) {
  const policy: ClientCertificatePolicy = { header: XFCC, field, enrolment: 'controlled' }
  return compileClientCertificate(policy)(value === undefined ? {} : { [XFCC]: value })
}

for (const [value, field, parts] of [
  ['Hash=abc', 'hash', ['abc']],
  ['By=spiffe://a;Hash=abc;Subject="/C=DE/CN=x"', 'hash', ['abc']],
  ['HASH=abc', 'hash', ['abc']],
  ['Hash="abc"', 'hash', ['abc']],
  ['By=x ; Hash=abc ; URI=y', 'hash', ['abc']],
  ['Subject="CN=\\"a, b\\";Hash=forged";Hash=abc', 'hash', ['abc']],
  ['Subject="CN=a,Hash=forged"', 'hash', null],
  ['Subject="CN=a;Hash=forged"', 'hash', null],
  ['Subject="CN=\\"a\\", O=b"', 'subject', ['CN="a", O=b']],
  ['Hash=of-the-client,Hash=of-the-peer', 'hash', ['of-the-peer']],
  ['Hash=of-the-client,By=peer', 'hash', null],
  ['Subject="open, Hash=of-the-peer', 'hash', ['of-the-peer']],
  ['DNS=a.example;DNS=b.example', 'dns', ['a.example', 'b.example']],
  ['Hash=', 'hash', null],
  ['Hash=""', 'hash', null],
  ['', 'hash', null],
  [undefined, 'hash', null],
  ['  the whole value ', null, ['the whole value']],
  [' ', null, null],
  [undefined, null, null],
] as const) {
  t.test(`${field ?? 'the whole'} of ${JSON.stringify(value)} is ${JSON.stringify(parts)}`, async (t) => {
    t.same(read(value, field), parts)
  })
}

t.test('a field longer than any certificate names none, and costs no more than its length', async (t) => {
  t.equal(read(`Hash=${'a'.repeat(70_000)}`, 'hash'), null)
  const start = process.cpuUsage()
  read(`x=${'"'.repeat(60_000)}`, 'hash')
  read(`${' '.repeat(60_000)}x`, 'hash')
  read('a=";'.repeat(15_000), 'hash')
  t.ok(process.cpuUsage(start).user < 2_000_000)
})

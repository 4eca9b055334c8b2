// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the policy's variables
import t from 'tap'
import { coreScalar, substitute } from '../../src/policy/substitute.ts'

const ENV = { NAME: 'value', EMPTY: '', NESTED: '${NAME}' }

t.test('variables are filled in, once', async (t) => {
  for (const [written, filled] of [
    ['${NAME}', 'value'],
    ['a${NAME}b${NAME}c', 'avaluebvaluec'],
    ['${NESTED}', '${NAME}'],
    ['${EMPTY}', ''],
    ['${EMPTY:-x}', 'x'],
    ['${NONE:-}', ''],
    ['${NONE:-a b:c#d}', 'a b:c#d'],
    ['${NAME:-x}', 'value'],
    ['$NAME $ {NAME} $', '$NAME $ {NAME} $'],
    ['$${NAME}', '${NAME}'],
    ['$$${NAME}', '$${NAME}'],
    ['100$', '100$'],
  ] as const) {
    const result = substitute(written, ENV)
    t.equal('text' in result && result.text, filled, written)
  }
})

t.test('what is no variable, or has no value, is named', async (t) => {
  for (const written of ['${}', '${1A}', '${A-b}', '${A B}', 'x${NAME', '${NAME:=x}', '${NAME:x}']) {
    t.match(substitute(written, ENV), { wrong: /^has a \$\{ that starts no variable; write/ }, written)
  }
  t.match(substitute('${NONE}', ENV), { wrong: /^the environment has no NONE; set it, or write a default/ })
  t.match(substitute('${constructor}', ENV), { wrong: /has no constructor/ }, 'an object of JavaScript is no variable')
})

t.test('plain text is read as YAML 1.2 reads it', async (t) => {
  const scalars: readonly (readonly [string, unknown])[] = [
    ['', null],
    ['~', null],
    ['Null', null],
    ['true', true],
    ['FALSE', false],
    ['yes', 'yes'],
    ['off', 'off'],
    ['12', 12],
    ['+1', 1],
    ['-1.5e3', -1500],
    ['.5', 0.5],
    ['0o17', 15],
    ['0x1F', 31],
    ['.inf', Number.POSITIVE_INFINITY],
    ['-.INF', Number.NEGATIVE_INFINITY],
    ['.nan', Number.NaN],
    ['1_000', '1_000'],
    ['1e', '1e'],
    ['12:30', '12:30'],
    ['2027-01-01', '2027-01-01'],
    [' 1', ' 1'],
    ['[1]', '[1]'],
  ]
  for (const [text, value] of scalars) t.ok(Object.is(coreScalar(text), value), JSON.stringify(text))
})

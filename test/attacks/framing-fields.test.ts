import t from 'tap'
import { get } from '../fixtures/raw-client.ts'
import { holdRefusals } from '../fixtures/through.ts'

t.test('space before the colon: 400', async (t) => {
  await holdRefusals(t, [
    ['of any field', get('/', 'X-A : b'), 400],
    ['a tab', get('/', 'X-A\t: b'), 400],
    ['of Content-Length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nabcde', 400],
    ['of Transfer-Encoding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n', 400],
    ['of Host', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
  ])
})

t.test('obs-fold: 400', async (t) => {
  await holdRefusals(t, [
    ['by a space', get('/', 'X-A: b\r\n c'), 400],
    ['by a tab', get('/', 'X-A: b\r\n\tc'), 400],
    ['of a coding', get('/', 'Transfer-Encoding:\r\n chunked'), 400],
    ['before the first field', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', 400],
  ])
})

t.test('bare CR, LF, NUL and other controls: 400', async (t) => {
  await holdRefusals(t, [
    ['CR in a value', get('/', 'X-A: b\rX-B: c'), 400],
    ['LF after a value', 'GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n', 400],
    ['LF at the end of the header', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: b\n\r\n', 400],
    ['LF alone', 'GET / HTTP/1.1\nHost: a\n\n', 400],
    ['CR alone', 'GET / HTTP/1.1\rHost: a\r\r', 400],
    ['NUL in a value', get('/', 'X-A: b\0c'), 400],
    ['NUL in a name', get('/', 'X\0A: b'), 400],
    ['another control in a value', get('/', 'X-A: b\x01'), 400],
    ['DEL in a value', get('/', 'X-A: b\x7f'), 400],
    ['NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a name that is none', get('/', 'X(A): b'), 400],
    ['no name', get('/', ': b'), 400],
    ['no colon', get('/', 'nonsense'), 400],
    ['a name beyond ASCII', get('/', 'X\xff: b'), 400],
  ])
})

t.test('framing fields with a control in their name: 400', async (t) => {
  const chunks = '\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
  await holdRefusals(t, [
    ['Content-Length\\v', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length\v: 5\r\n\r\nabcde', 400],
    ['\\vTransfer-Encoding', `POST / HTTP/1.1\r\nHost: a\r\n\vTransfer-Encoding: chunked${chunks}`, 400],
    ['Transfer-Encoding\\0', `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\0: chunked${chunks}`, 400],
  ])
})

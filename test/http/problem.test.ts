import t from 'tap'
import { PROBLEM_TYPE, problemBody, QUOTA_EXCEEDED } from '../../src/http/problem.ts'

t.test('a problem without a type of its own is about:blank, titled as its status is', async (t) => {
  t.same(JSON.parse(problemBody({ status: 404, detail: 'x' })), {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: 'x',
  })
  t.equal(JSON.parse(problemBody({ status: 799, detail: 'x' })).title, 'Error')
})

t.test('a type, a title and further members stand as given', async (t) => {
  const problem = {
    type: QUOTA_EXCEEDED,
    title: 'T',
    status: 429,
    detail: 'x',
    'violated-policies': ['a'],
  }
  t.same(JSON.parse(problemBody(problem)), problem)
  t.same(JSON.parse(problemBody(problem, '1')), { ...problem, request_id: '1' })
  t.equal(QUOTA_EXCEEDED, 'https://iana.org/assignments/http-problem-types#quota-exceeded')
  t.equal(PROBLEM_TYPE, 'application/problem+json')
})

t.test('no text breaks the document', async (t) => {
  const detail = '"}\r\n\u2028</script>\0\ud800'
  t.equal(JSON.parse(problemBody({ status: 400, detail })).detail, detail)
  t.notMatch(problemBody({ status: 400, detail }), /[\r\n\0]/)
})

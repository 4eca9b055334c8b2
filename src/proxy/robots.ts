import type { Facts } from '../http/facts.ts'
import type { OwnAnswer } from './own-answer.ts'

const PATH = '/robots.txt'

/**
 * The status with which a request is refused: a crawler takes a 4xx for /robots.txt as leave to fetch everything, a 5xx as none
 * (RFC 9309 sections 2.3.1.3 and 2.3.1.4).
 */
export function refusalStatus(facts: Facts | null, status: number): number {
  const isCrawler = facts !== null && facts.target.path === PATH && (facts.method === 'GET' || facts.method === 'HEAD')
  return isCrawler && status >= 400 && status < 500 ? 503 : status
}

/** An answer of our own with the status that a crawler is to see. */
export function asRefused(facts: Facts | null, answer: OwnAnswer): OwnAnswer {
  const { problem } = answer
  const status = refusalStatus(facts, problem.status)
  if (status === problem.status) return answer
  const { title: _, ...rest } = problem
  return { ...answer, problem: { ...rest, status } }
}

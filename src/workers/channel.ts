import type { Serializable } from 'node:child_process'

/** One end of the connection between two processes: `process` in a child, the child itself in its parent. */
export type Port = {
  readonly connected: boolean
  send?(message: Serializable, callback?: (cause: Error | null) => void): boolean
  on(event: 'message', listener: (message: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

/** What one end answers: a function for each question. Arguments and answers must survive JSON. */
// biome-ignore lint/suspicious/noExplicitAny: only so do functions of any arguments fit.
export type Answers = { readonly [question: string]: (...args: any[]) => unknown }

/** What a question is answered with. */
export type AnswerOf<Far extends Answers, Question extends keyof Far> = Awaited<ReturnType<Far[Question]>>

export type Channel<Far extends Answers> = {
  /** Asks the far end. Rejects when it fails there, or goes away before it has answered. */
  ask<Question extends keyof Far & string>(
    question: Question,
    ...args: Parameters<Far[Question]>
  ): Promise<AnswerOf<Far, Question>>
}

type Message =
  | { readonly ask: string; readonly number: number; readonly args: readonly unknown[] }
  | { readonly number: number; readonly answer?: unknown; readonly failure?: string }

type Waiting = { readonly resolve: (answer: never) => void; readonly reject: (cause: Error) => void }

/** Questions and answers in both directions, in the order in which they were sent. `near` is what this end answers. */
export function createChannel<Far extends Answers>(port: Port, near: Answers): Channel<Far> {
  const waiting = new Map<number, Waiting>()
  let asked = 0

  function send(message: Message, failed: (cause: Error) => void): void {
    if (!port.connected) return failed(new Error('the other process is gone'))
    port.send?.(message as Serializable, (cause) => {
      if (cause !== null) failed(cause)
    })
  }

  function heard(message: Message): void {
    if ('ask' in message) return void answer(message.ask, message.number, message.args)
    const { number, failure } = message
    const asker = waiting.get(number)
    waiting.delete(number)
    if (failure === undefined) asker?.resolve(message.answer as never)
    else asker?.reject(new Error(failure))
  }

  function answer(question: string, number: number, args: readonly unknown[]): void {
    const reply = (message: Message) => send(message, () => {})
    const fail = (cause: unknown) => reply({ number, failure: (cause as Error).message })
    try {
      const given = near[question]!(...args)
      if (given instanceof Promise) given.then((later: unknown) => reply({ number, answer: later }), fail)
      else reply({ number, answer: given })
    } catch (cause) {
      fail(cause)
    }
  }

  port.on('message', (message) => heard(message as Message))
  port.once('disconnect', () => {
    for (const { reject } of waiting.values()) reject(new Error('the other process is gone'))
    waiting.clear()
  })
  return {
    ask(question, ...args) {
      return new Promise((resolve, reject) => {
        const number = asked++
        waiting.set(number, { resolve, reject })
        send({ ask: question, number, args }, (cause) => {
          waiting.delete(number)
          reject(cause)
        })
      })
    },
  }
}

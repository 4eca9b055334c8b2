import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
  type Message as SqsMessage,
} from '@aws-sdk/client-sqs'
import { TIMEOUT_MS } from '../with-timeout.ts'
import { leased } from './leased.ts'
import type { BackendOptions } from './options.ts'
import { checkSize, type Queue, type Reservation } from './queue.ts'
import { unavailable } from './unavailable.ts'
import { createWaiters } from './waiters.ts'

/** `endpoint` stands in for the address that the SDK works out; left out, AWS_ENDPOINT_URL_SQS and AWS_REGION hold. */
export type SqsOptions = Omit<BackendOptions, 'name'> & { readonly endpoint?: string | undefined }

/** A long poll. Also what a wait takes at the longest to end. */
const POLL_SECONDS = 2
/** The most that SQS hands out at once. */
const MAX_BATCH = 10
/** For so long a depth is believed, corrected by what this process does, so that each put need not ask for it. */
const DEPTH_MS = 1000
/** What an answer may take to be here and read. */
const ANSWER_MS = 500
const MAX_DELAY_SECONDS = 900

type Place = { readonly queueUrl: string; readonly deadUrl: string }

/**
 * The queue in Amazon SQS: `sqs://name`, or the queue's https URL; standard or FIFO. Credentials and region come as the
 * SDK finds them. The queue needs a redrive policy: its dead-letter queue is where messages are buried, and its
 * maxReceiveCount must leave the worker all its attempts.
 */
export function createSqsQueue({ url, maxMessages, leaseMs, endpoint }: SqsOptions): Queue {
  const region = /^https:\/\/sqs\.([a-z0-9-]+)\./.exec(url)?.[1]
  const client = new SQSClient({
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint, useQueueUrlAsEndpoint: false }),
    maxAttempts: 2,
    requestHandler: { connectionTimeout: TIMEOUT_MS, requestTimeout: POLL_SECONDS * 1000 + TIMEOUT_MS },
  })
  const isFifo = url.endsWith('.fifo')
  const visibilitySeconds = Math.max(1, Math.ceil(leaseMs / 1000))
  let place: Promise<Place> | undefined
  let sampled = { count: 0, atMs: Number.NEGATIVE_INFINITY }

  async function ask<T>(call: (place: Place) => Promise<T>): Promise<T> {
    try {
      place ??= findPlace(client, url)
      return await call(await place)
    } catch (error) {
      place = undefined
      throw unavailable(url, error)
    }
  }

  async function depthOf(queueUrl: string) {
    const { Attributes: found = {} } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['All'] }),
    )
    return {
      ready: Number(found.ApproximateNumberOfMessages),
      delayed: Number(found.ApproximateNumberOfMessagesDelayed),
      reserved: Number(found.ApproximateNumberOfMessagesNotVisible),
    }
  }

  async function isFull(queueUrl: string): Promise<boolean> {
    if (performance.now() - sampled.atMs > DEPTH_MS) {
      const { ready, delayed, reserved } = await depthOf(queueUrl)
      sampled = { count: ready + delayed + reserved, atMs: performance.now() }
    }
    return sampled.count >= maxMessages
  }

  async function fetch(max: number): Promise<readonly Reservation[]> {
    const askedMs = performance.now()
    const { Messages: found = [] } = await ask(({ queueUrl }) =>
      client.send(
        new ReceiveMessageCommand({
          QueueUrl: queueUrl,
          MaxNumberOfMessages: Math.min(max, MAX_BATCH),
          WaitTimeSeconds: POLL_SECONDS,
          VisibilityTimeout: visibilitySeconds,
          MessageSystemAttributeNames: ['ApproximateReceiveCount'],
          MessageAttributeNames: ['id'],
        }),
      ),
    )
    // SQS began to count when it answered, which is a moment ago, not when the long poll began.
    const fromMs = Math.max(askedMs, performance.now() - ANSWER_MS)
    return found.map((message) => reservationOf(message, fromMs))
  }

  function reservationOf(message: SqsMessage, fromMs: number): Reservation {
    const id = message.MessageAttributes?.id?.StringValue ?? message.MessageId ?? ''
    const body = decode(message.Body ?? '')
    const receipt = { ReceiptHandle: message.ReceiptHandle }
    const remove = (queueUrl: string) => client.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ...receipt }))
    const show = (seconds: number) =>
      ask(async ({ queueUrl }) => {
        const input = { QueueUrl: queueUrl, ...receipt, VisibilityTimeout: seconds }
        await client.send(new ChangeMessageVisibilityCommand(input))
      })
    return leased({
      message: { id, body },
      attempt: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
      leaseMs: visibilitySeconds * 1000,
      fromMs,
      extend: () => show(visibilitySeconds),
      done: () =>
        ask(async ({ queueUrl }) => {
          await remove(queueUrl)
          sampled.count--
        }),
      retry: (delayMs) => show(Math.min(MAX_DELAY_SECONDS, Math.ceil(delayMs / 1000))),
      bury: () =>
        ask(async ({ queueUrl, deadUrl }) => {
          // In this order: dying between the two it is there twice, not lost.
          await client.send(send(deadUrl, id, body))
          await remove(queueUrl)
          sampled.count--
        }),
    })
  }

  function send(queueUrl: string, id: string, body: string): SendMessageCommand {
    return new SendMessageCommand({
      QueueUrl: queueUrl,
      MessageBody: encode(body),
      MessageAttributes: { id: { DataType: 'String', StringValue: id } },
      // A group for each message, for their order among each other does not matter and a group waits for its first.
      ...(isFifo && { MessageGroupId: id, MessageDeduplicationId: id }),
    })
  }

  const waiters = createWaiters({ fetch, idleMs: 0 })
  return {
    async put(message) {
      checkSize(message)
      return ask(async ({ queueUrl }) => {
        if (await isFull(queueUrl)) return 'full'
        await client.send(send(queueUrl, message.id, message.body))
        sampled.count++
        return 'added'
      })
    },
    reserve: (signal) => waiters.reserve(signal),
    depth: () =>
      ask(async ({ queueUrl, deadUrl }) => {
        const [live, dead] = await Promise.all([depthOf(queueUrl), depthOf(deadUrl)])
        return { ...live, buried: dead.ready + dead.delayed + dead.reserved }
      }),
    async close() {
      await waiters.close()
      client.destroy()
    },
  }
}

/** The URLs of the queue and of its dead-letter queue. */
async function findPlace(client: SQSClient, url: string): Promise<Place> {
  const name = /^sqs:\/\/([^/]+)\/?$/.exec(url)?.[1]
  const queueUrl = name === undefined ? url : await urlOf(client, name)
  const { Attributes: found = {} } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['RedrivePolicy'] }),
  )
  const { deadLetterTargetArn } = JSON.parse(found.RedrivePolicy ?? '{}') as { deadLetterTargetArn?: string }
  if (deadLetterTargetArn === undefined) {
    throw new Error('it has no redrive policy; give it a dead-letter queue, with a maxReceiveCount of 10 or more')
  }
  const [account, deadName] = deadLetterTargetArn.split(':').slice(4)
  return { queueUrl, deadUrl: await urlOf(client, deadName ?? '', account) }
}

async function urlOf(client: SQSClient, name: string, account?: string): Promise<string> {
  const owner = account === undefined ? {} : { QueueOwnerAWSAccountId: account }
  const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName: name, ...owner }))
  if (QueueUrl === undefined) throw new Error(`there is no queue ${name}`)
  return QueueUrl
}

/** SQS takes only what XML 1.0 can say, and no empty text; JSON can say everything in ASCII. */
function encode(body: string): string {
  return JSON.stringify(body)
}

function decode(text: string): string {
  const value: unknown = JSON.parse(text)
  return typeof value === 'string' ? value : text
}

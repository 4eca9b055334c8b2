import type { HttpBindings } from '@hono/node-server'

/** What a route finds in its context: Node's own request and response. */
export type DemoEnv = { Bindings: HttpBindings }

// The most that a Node server can do: it answers a constant and asks nobody. `node constant.js PORT BODY`
import { createServer } from 'node:http'

const [port, body] = process.argv.slice(2)
const fields = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }

const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
  response.writeHead(200, fields)
  response.end(body)
})
server.listen(Number(port), '127.0.0.1')

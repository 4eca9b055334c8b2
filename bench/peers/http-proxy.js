// http-proxy and nothing else: `node http-proxy.js PORT UPSTREAM`
import { Agent, createServer } from 'node:http'
import httpProxy from 'http-proxy'

const [port, upstream] = process.argv.slice(2)
const proxy = httpProxy.createProxyServer({
  target: `http://127.0.0.1:${upstream}`,
  agent: new Agent({ keepAlive: true, maxSockets: 256 }),
  xfwd: true,
})
proxy.on('error', (_error, _request, response) => response.destroy())
createServer((request, response) => proxy.web(request, response)).listen(Number(port), '127.0.0.1')

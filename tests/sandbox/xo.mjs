// A stand-in for xo-server: what a plugin sees of the host (found and loaded, configured, told of API calls) and what a client
// sees of it (JSON-RPC over WebSocket on /api/), with XO's own published packages. How the real one behaves was observed there.
import { EventEmitter } from 'node:events'
import { createServer } from 'node:http'
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import Peer from 'json-rpc-peer'
import { WebSocketServer } from 'ws'

import { Api } from './api.mjs'
import { Jobs } from './jobs.mjs'
import { methods } from './methods.mjs'
import { Plugins } from './plugins.mjs'

const RpcPeer = Peer.default ?? Peer

export class Xo extends EventEmitter {
  hooks = new EventEmitter()
  users = new Map()
  api = new Api(this)
  jobs = new Jobs(this)

  // `folder`: where the host's package is; `dataFolder`; `plugins`: the [plugins.*] tables of its configuration file.
  constructor({ folder, dataFolder, plugins, log = (level, message) => console.error(`${level}: ${message}`) }) {
    super()
    this.log = log
    this.dataFolder = dataFolder
    this.plugins = new Plugins(this, { folder, dataFolder, staticConfigs: plugins })
    this.addUser('admin@admin.net', 'admin', 'admin')
    this.api.add(methods)
  }

  // ---- what plugins use ----

  get apiContext() {
    return this.api.context
  }

  get apiMethods() {
    return this.api.methods
  }

  addApiMethods(namespaces) {
    return this.api.add(namespaces)
  }

  configurePlugin(id, configuration) {
    return this.plugins.configure(id, configuration)
  }

  // ----

  addUser(email, password, permission) {
    const id = randomUUID()
    this.users.set(id, { id, email, password, permission, tokens: new Set() })
  }

  // Listens, then registers the plugins, and returns the port.
  async start(port = 0) {
    await mkdir(this.dataFolder, { recursive: true })
    this.server = createServer((req, res) => res.writeHead(404).end())
    this.sockets = new WebSocketServer({ server: this.server, path: '/api/', perMessageDeflate: { threshold: 524_288 } })
    this.sockets.on('connection', (socket, { socket: { remoteAddress } }) => this.#serve(socket, remoteAddress))
    await new Promise(resolve => this.server.listen(port, '127.0.0.1', resolve))
    await this.plugins.registerAll()
    return this.server.address().port
  }

  #serve(socket, ip) {
    const connection = { ip, userId: undefined }
    const rpc = new RpcPeer(({ type, method, params }) => {
      if (type === 'request') return this.#answer(connection, method, params)
    })
    socket.on('message', message => rpc.write(String(message)))
    rpc.on('data', data => socket.readyState === socket.OPEN && socket.send(data))
  }

  async #answer(connection, method, params) {
    try {
      return await this.api.call(connection, method, params)
    } catch (error) {
      // administrators are told what went wrong, whatever it is
      const user = this.users.get(connection.userId)
      if (error.toJsonRpcError === undefined && user?.permission === 'admin')
        throw new Peer.JsonRpcError(error.message, undefined, { message: error.message, stack: error.stack })
      throw error
    }
  }

  // As on SIGTERM: the listeners of `stop` first; the process ends when nothing keeps it.
  async stop() {
    await Promise.all(this.hooks.listeners('stop').map(listener => listener.call(this.hooks)))
    for (const client of this.sockets.clients) client.terminate()
    this.server.closeAllConnections()
    this.server.close()
  }
}

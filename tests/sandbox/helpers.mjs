// What the plugin's tests, the demonstration and the benchmark share: a stand-in host in its own process, with the plugin as it
// was built, and XO's client connected to it.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import XoLib from 'xo-lib'

import { cleanUp, root, start, tempFolder, until } from '../lib/program.mjs'

export const Client = XoLib.default ?? XoLib
export const PLUGIN = 'web-hooks'

export const pluginFolder = (preset = process.env.XH_PRESET || 'release') => join(root, 'build', preset, 'xo-server-web-hooks')

// The folders of a host built from sources, with the plugin in its own node_modules (unless `plugin` is null).
export function hostFolder(t, plugin = pluginFolder()) {
  const base = tempFolder(t, 'xo-server-')
  const folder = join(base, 'packages', 'xo-server')
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  if (plugin !== null) {
    assert.ok(existsSync(plugin), `${plugin} is missing: run ./dev build`)
    symlinkSync(plugin, join(folder, 'node_modules', 'xo-server-web-hooks'))
  }
  return { base, folder, dataFolder: join(base, 'data') }
}

class Host {
  constructor(t, { base, folder, dataFolder }, staticConfig) {
    Object.assign(this, { t, base, folder, dataFolder, staticConfig })
  }

  async start() {
    const options = { folder: this.folder, dataFolder: this.dataFolder, plugins: { [PLUGIN]: this.staticConfig } }
    const script = join(root, 'tests', 'sandbox', 'xo-server.mjs')
    this.process = start(this.t, [script, JSON.stringify(options)], { command: process.execPath })
    const [, url] = await this.process.waitFor(/^listening on (.*)/)
    this.url = url
    this.client = await this.connect()
    return this
  }

  async connect(credentials = { email: 'admin@admin.net', password: 'admin' }) {
    const client = new Client({ url: this.url })
    client.on('error', () => {}) // an end of the host that a test wants; calls fail by themselves
    await client.open()
    await client.signIn(credentials) // given to the constructor, they would be sent after open() has resolved
    cleanUp(this.t, () => client.close().catch(() => {}))
    return client
  }

  call(method, params) {
    return this.client.call(method, params)
  }

  async plugin() {
    return (await this.call('plugin.get')).find(({ id }) => id === PLUGIN)
  }

  configure(hooks) {
    return this.call('plugin.configure', { id: PLUGIN, configuration: Array.isArray(hooks) ? { hooks } : hooks })
  }

  // What the host has saved, secrets included.
  savedHooks() {
    return JSON.parse(readFileSync(join(this.dataFolder, 'plugins.json'), 'utf8'))[PLUGIN].configuration.hooks
  }

  async load() {
    await this.call('plugin.load', { id: PLUGIN })
    await this.connected()
  }

  unload() {
    return this.call('plugin.unload', { id: PLUGIN })
  }

  stats() {
    return this.call('webHooks.getStats')
  }

  connected() {
    return until('the plugin is connected to the program', async () => (await this.stats()).plugin.connected)
  }

  // What the host and the plugin logged, but for what the host says of itself.
  get log() {
    return this.process.stderr
  }

  // The process ids of the programs that this host started, by the data folder on their command line.
  children() {
    return processes(args => args[1] === 'serve' && args.includes(join(this.dataFolder, PLUGIN)))
  }

  async child() {
    return until('the program runs', () => this.children()[0])
  }

  async stop(signal = 'SIGTERM') {
    await this.client?.close().catch(() => {})
    return this.process.stop(signal)
  }
}

// Process ids whose argument list fits.
export function processes(fits) {
  const found = []
  for (const entry of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const state = readFileSync(`/proc/${entry}/stat`, 'utf8').match(/^.*\) (.)/)[1]
      if (state !== 'Z' && fits(readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0'))) found.push(Number(entry))
    } catch {
      // ended meanwhile
    }
  }
  return found
}

// A running host, signed in. With `hooks`, the plugin is configured and loaded.
export async function startHost(t, { hooks, staticConfig = {}, ...folders } = {}) {
  if (folders.folder === undefined) folders = hostFolder(t, folders.plugin)
  const host = await new Host(t, folders, staticConfig).start()
  if (hooks !== undefined) {
    await host.configure(hooks)
    await host.load()
  }
  return host
}

export const hook = (method, type, url, more = {}) => ({ method, type, url, format: 'json', ...more })

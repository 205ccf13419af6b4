// The plugin with `socket` in its static configuration: hosts that share one running program.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, start, tempFolder, until } from '../lib/program.mjs'
import { hook, startHost } from './helpers.mjs'

const VM = '67aac198-0174-11ea-8d71-362b9e155667'

async function serve(t, folder) {
  const process = start(t, ['serve', '--data', folder])
  await process.waitFor(/ serves, process /)
  return process
}

const hostOf = async (t, folder, source, hooks, more = {}) => {
  const host = await startHost(t, { staticConfig: { socket: join(folder, 'xo-hooks.sock'), source, ...more } })
  await host.configure(hooks)
  await host.call('plugin.load', { id: 'web-hooks' })
  return host
}

test('each source has its own hooks, and deliveries say which it was', async t => {
  const folder = tempFolder(t)
  await serve(t, folder)
  const target = await httpTarget(t)
  const paris = await hostOf(t, folder, 'paris', [hook('vm.start', 'post', `${target.url}paris`)])
  const lyon = await hostOf(t, folder, 'lyon', [hook('vm.start', 'post', `${target.url}lyon`), hook('vm.stop', 'post', `${target.url}lyon`)])
  for (const host of [paris, lyon]) {
    await host.connected()
    await host.call('vm.start', { id: VM })
    await host.call('vm.stop', { id: VM })
  }
  await target.count(3)
  await paris.configure([]) // touches nobody else's
  await paris.call('vm.start', { id: VM })
  await lyon.call('vm.start', { id: VM })
  await target.count(4)
  assert.deepEqual(target.requests.map(({ url, json }) => `${url} ${json.method}`).sort(), [
    '/lyon vm.start',
    '/lyon vm.start',
    '/lyon vm.stop',
    '/paris vm.start',
  ])
  for (const [host, source, count] of [[paris, 'paris', 1], [lyon, 'lyon', 3]]) {
    const { deliveries } = await host.call('webHooks.getDeliveries', {})
    assert.deepEqual(deliveries.map(delivery => delivery.source), Array(count).fill(source))
    assert.equal(host.children().length, 0, 'no program of its own')
  }
})

test('without a connection events wait, calls do not, and all arrives when the program is there', async t => {
  const folder = tempFolder(t)
  const target = await httpTarget(t)
  const host = await hostOf(t, folder, 'xo', [hook('vm.start', 'pre/post', target.url, { waitForResponse: true, advanced: { timeout: 600 } })])
  for (let i = 0; i < 5; i++) await host.call('vm.start', { id: VM }) // would wait 600 s
  const { plugin } = await host.stats()
  assert.deepEqual([plugin.connected, plugin.waiting.count, plugin.dropped], [false, 10, 0])
  let process = await serve(t, folder)
  await host.connected()
  await target.count(10)
  await process.stop('SIGKILL')
  for (let i = 0; i < 5; i++) await host.call('vm.start', { id: VM })
  process = await serve(t, folder)
  await until('every call has arrived', () => new Set(target.requests.map(({ json }) => json.callId + json.type)).size === 20)
  assert.equal(new Set(target.requests.map(({ headers }) => headers['webhook-id'])).size, 20)
})

test('events that wait for a connection keep the hooks of their time when new ones are saved meanwhile', async t => {
  const folder = tempFolder(t)
  const target = await httpTarget(t)
  const host = await hostOf(t, folder, 'xo', [hook('vm.start', 'post', `${target.url}old`)])
  await host.call('vm.start', { id: VM })
  await host.configure([hook('vm.*', 'post', `${target.url}new`)])
  await host.call('vm.start', { id: VM })
  await host.call('vm.stop', { id: VM })
  await serve(t, folder)
  const requests = await target.count(3)
  assert.deepEqual(requests.map(({ url, json }) => `${url} ${json.method}`).sort(), ['/new vm.start', '/new vm.stop', '/old vm.start'])
})

test('what passes the cap is counted and logged as dropped', async t => {
  const folder = tempFolder(t)
  const target = await httpTarget(t)
  const host = await hostOf(t, folder, 'xo', [hook('vm.start', 'post', target.url)], { memoryCapMiB: 0.001 })
  for (let i = 0; i < 20; i++) await host.call('vm.start', { id: VM })
  const { plugin } = await host.stats()
  assert.ok(plugin.waiting.bytes <= 1049 && plugin.waiting.count > 0)
  assert.equal(plugin.dropped, 20 - plugin.waiting.count)
  assert.equal(host.log.filter(line => /was dropped: at most 0.001 MiB/.test(line)).length, 1, 'said once, not twenty times')
  await serve(t, folder)
  await target.count(plugin.waiting.count)
})

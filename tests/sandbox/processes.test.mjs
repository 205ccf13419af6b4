// The plugin and its program as processes: who starts and ends whom, what is opened, what a stuck or missing program means for calls.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'

import { cleanUp, httpTarget, until } from '../lib/program.mjs'
import { hook, startHost } from './helpers.mjs'

const VM = '67aac198-0174-11ea-8d71-362b9e155667'

// Sockets of a process that listen on, or are bound to, a port.
function ports(pid) {
  const opened = readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return [] // closed meanwhile
    }
  })
  return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap(kind =>
    readFileSync(`/proc/${pid}/net/${kind}`, 'utf8')
      .split('\n')
      .slice(1)
      .map(line => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) => opened.includes(`socket:[${inode}]`) && (state === '0A' || kind.startsWith('udp')))
  )
}

test('loading starts one program and opens no port; unloading ends it; loading again starts one', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('vm.*', 'post', target.url)] })
  await host.call('vm.start', { id: VM })
  await target.next()
  assert.equal(host.children().length, 1)
  assert.deepEqual(ports(host.children()[0]), [])
  assert.equal(ports(host.process.pid).length, 1, "the host's own, for its API")
  await host.unload()
  assert.equal(host.children().length, 0)
  await host.call('vm.start', { id: VM })
  await host.load()
  assert.equal(host.children().length, 1)
  await host.call('vm.stop', { id: VM })
  assert.equal((await target.next()).json.method, 'vm.stop', 'a call without the plugin is no event')
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'])
  test(`${signal} to the host leaves no process behind, also while a target is silent`, async t => {
    const target = await httpTarget(t, () => {})
    const host = await startHost(t, { hooks: [hook('vm.*', 'post', target.url)] })
    await host.call('vm.start', { id: VM })
    await target.next()
    const { signal: by } = await host.stop(signal)
    assert.equal(by, signal === 'SIGKILL' ? 'SIGKILL' : null)
    await until('the program has ended', () => host.children().length === 0)
  })

test('the program leaves the processors to the host, with all of its threads', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('vm.*', 'post', target.url)] })
  await host.call('vm.start', { id: VM })
  await target.next()
  const niceness = pid =>
    readdirSync(`/proc/${pid}/task`).map(task => Number(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8').replace(/.*\) /s, '').split(' ')[16]))
  const own = niceness(process.pid)[0]
  const threads = niceness(host.children()[0])
  assert.ok(threads.length > 1 && threads.every(level => level === Math.max(own, 10)), threads.join(' '))
})

test('a stuck program delays a waiting call by the timeout of its hook, others not at all', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, {
    hooks: [
      hook('vm.start', 'pre', target.url, { waitForResponse: true, advanced: { timeout: 0.5 } }),
      hook('vm.stop', 'pre/post', target.url),
      hook('acl.get', 'post', target.url, { waitForResponse: true, advanced: { timeout: 600 } }), // waits for a pre request only
    ],
  })
  const child = await host.child()
  process.kill(child, 'SIGSTOP')
  cleanUp(t, () => process.kill(child, 'SIGCONT'))
  const order = []
  const call = async (method, params) => {
    await host.call(method, params)
    order.push(method)
  }
  await Promise.all([call('vm.start', { id: VM }), call('vm.stop', { id: VM }), call('acl.get', {})])
  assert.equal(order.at(-1), 'vm.start')
  process.kill(child, 'SIGCONT')
  const requests = await target.count(4)
  assert.deepEqual(requests.map(({ json }) => `${json.method} ${json.type}`).sort(), ['acl.get post', 'vm.start pre', 'vm.stop post', 'vm.stop pre'])
})

test('a program that dies lets go of the calls that wait for it, and its events are sent by the next one', async t => {
  let answers = false
  const target = await httpTarget(t, (request, response) => answers && response.end())
  const host = await startHost(t, { hooks: [hook('vm.start', 'pre', target.url, { waitForResponse: true, advanced: { timeout: 600 } })] })
  const call = host.call('vm.start', { id: VM })
  const first = await target.next()
  answers = true
  process.kill(await host.child(), 'SIGKILL')
  assert.equal(await call, true)
  assert.equal((await target.next()).text, first.text)
})

test('a program that is missing is named when the configuration is saved', async t => {
  const host = await startHost(t, { staticConfig: { binary: '/nonexistent/xo-hooks' } })
  await assert.rejects(host.configure([hook('vm.*', 'post', 'http://127.0.0.1:9/')]), /the program \/nonexistent\/xo-hooks can't be run/)
})

test('a new configuration overtakes no event', async t => {
  const target = await httpTarget(t)
  const method = 'xo.getAllObjects'
  const host = await startHost(t, { hooks: [hook(method, 'post', `${target.url}old`)] })
  const child = await host.child()
  process.kill(child, 'SIGSTOP')
  cleanUp(t, () => process.kill(child, 'SIGCONT'))
  // more than pipe and stream take, so that some wait in the plugin
  for (let i = 0; i < 3; i++) await host.call(method, { megabytes: 2 })
  const configured = host.configure([hook('vm.start', 'post', `${target.url}new`)])
  process.kill(child, 'SIGCONT')
  await configured
  await host.call('vm.start', { id: VM })
  const requests = await target.count(4)
  assert.deepEqual(requests.map(({ url }) => url).sort(), ['/new', '/old', '/old', '/old'])
})

test('a new configuration while events flow loses none of them', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('vm.start', 'post', `${target.url}0`)] })
  let calls = 0
  let stop = false
  const caller = async () => {
    while (!stop) {
      calls++
      await host.call('vm.start', { id: VM })
      await target.count(calls - 100) // a busy machine shall not fall behind for ever
    }
  }
  const callers = Array.from({ length: 4 }, caller)
  for (let i = 1; i <= 8; i++) {
    await host.configure([hook('vm.start', 'post', `${target.url}${i}`), hook('acl.get', 'pre', target.url)])
    const before = target.requests.length
    await target.count(before + 5)
  }
  stop = true
  await Promise.all(callers)
  await target.count(calls)
  assert.equal(new Set(target.requests.map(({ json }) => json.callId)).size, calls)
  assert.ok(target.requests.some(({ url }) => url === '/8'))
})

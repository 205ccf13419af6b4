// The plugin in (a stand-in for) xo-server, driven by XO's own client: from the saved configuration to the target.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, until } from '../lib/program.mjs'
import { hook, processes, startHost } from './helpers.mjs'

const VM = '67aac198-0174-11ea-8d71-362b9e155667'

test('each call of a hooked method sends its requests', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('vm.*', 'pre/post', target.url), hook('acl.get', 'post', target.url)] })
  assert.equal(await host.call('vm.start', { id: VM }), true)
  const [pre, post] = await target.count(2)
  assert.equal(pre.json.type, 'pre')
  assert.equal(pre.json.callId, post.json.callId)
  assert.equal(post.json.result, true)
  assert.equal(typeof post.json.duration, 'number')
  await assert.rejects(host.call('vm.start', { id: 'missing' }))
  const failed = (await target.count(4))[3].json
  assert.match(failed.error.message, /missing/)
  await host.call('acl.get', {})
  assert.equal((await target.count(5))[4].json.method, 'acl.get')
})

test('a large result arrives whole, also when the program is asked something meanwhile', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('xo.getAllObjects', 'post', target.url)] })
  const [result] = await Promise.all([host.call('xo.getAllObjects', { megabytes: 6 }), ...Array.from({ length: 40 }, () => host.stats())])
  const stats = Array.from({ length: 40 }, () => host.stats())
  const { json } = await target.next()
  assert.deepEqual(json.result, result)
  assert.ok((await Promise.all(stats)).every(({ plugin, events }) => plugin.connected && events !== undefined))
  assert.equal((await host.stats()).plugin.connections, 1)
})

test('a large result that no hook sends is not even written by the host', async t => {
  const target = await httpTarget(t)
  const method = 'xo.getAllObjects'
  const brief = [
    hook(method, 'post', target.url, { advanced: { fields: ['method', 'duration'] } }),
    { ...hook('xo.*', 'post', target.url), format: 'slack' },
  ]
  const host = await startHost(t, { hooks: brief })
  const kept = async () => {
    const { deliveries } = await host.call('webHooks.getDeliveries', {})
    return (await host.call('webHooks.getDelivery', { id: deliveries[0].id })).event
  }
  await host.call(method, { megabytes: 1 })
  await target.count(2)
  const event = await kept()
  assert.equal(event.method, method)
  assert.equal(typeof event.duration, 'number')
  assert.ok(!('result' in event))
  // what is short is told, and one hook that sends the result is enough
  await host.configure([{ ...hook('token.*', 'post', target.url), format: 'slack' }, ...brief, hook('xo.get*', 'post', target.url)])
  const result = await host.call(method, { megabytes: 1 })
  const full = (await target.count(5)).map(({ json }) => json).find(json => json.result)
  assert.deepEqual(full.result, result)
  assert.deepEqual((await kept()).result, result)
  await host.configure([hook(method, 'post', target.url, { advanced: { fields: ['result.x'] } })])
  await host.call(method, { megabytes: 1 })
  await target.count(6)
  assert.deepEqual((await kept()).result, result)
})

test('a condition on the result is looked at, whether or not the result is sent', async t => {
  const target = await httpTarget(t)
  const method = 'xo.getAllObjects'
  const advanced = { when: [{ property: 'result.00000000-0000-4000-8000-000000000000.power_state', matches: ['Halted'] }], fields: ['method'] }
  const host = await startHost(t, { hooks: [hook(method, 'post', target.url, { advanced })] })
  await host.call(method, { megabytes: 0.001 })
  assert.deepEqual((await target.next()).json, { method })
})

test('a stock configuration loads unchanged, and the host logs no schema warning', async t => {
  const target = await httpTarget(t)
  const stock = { hooks: [{ method: 'vm.start', type: 'post', url: target.url, format: 'json', waitForResponse: false }] }
  const host = await startHost(t)
  await host.configure(stock)
  await host.load()
  assert.deepEqual((await host.plugin()).configuration, stock)
  await host.call('vm.start', { id: VM })
  await target.next()
  assert.ok(!host.log.some(line => /strict mode|unknown (keyword|format)/i.test(line)), host.process.said())
})

test('a bad configuration is refused with the hook and what is wrong, and not saved', async t => {
  const host = await startHost(t, { hooks: [hook('vm.*', 'post', 'http://127.0.0.1:9/')] })
  const bad = [hook('vm.*', 'post', 'http://127.0.0.1:9/'), hook('vm.*', 'pre', 'ftp://files/', { name: 'Files' })]
  await assert.rejects(host.configure(bad), /hook 2 \(Files\), url: .*http/)
  const odd = [hook('vm.*', 'post', 'http://127.0.0.1:9/', { advanced: { fields: [1, null] } }), { type: 'post' }, hook(7, 'post', 'http://127.0.0.1:9/')]
  const calls = Array.from({ length: 20 }, () => host.call('vm.start', { id: VM }))
  await assert.rejects(host.configure(odd), /hook 1.*fields.*\n.*hook 2.*method/s)
  await Promise.all(calls)
  assert.equal((await host.plugin()).configuration.hooks.length, 1)
  await host.unload()
  await assert.rejects(host.configure(bad), /hook 2 \(Files\), url: .*http/)
  await assert.rejects(host.configure(odd), /hook 1.*fields.*\n.*hook 2.*method/s)
})

test('secrets are masked for administrators, and kept when saved again', async t => {
  const host = await startHost(t, {
    hooks: [hook('vm.*', 'post', 'http://127.0.0.1:9/', { advanced: { token: 'hunter2', passphrase: 'hunter2', headers: [{ name: 'a', passwordValue: 'hunter2' }] } })],
  })
  const { configuration } = await host.plugin()
  assert.ok(!JSON.stringify(configuration).includes('hunter2'))
  await host.configure(configuration)
  assert.equal(JSON.stringify(host.savedHooks()).split('hunter2').length, 4)
})

test('a previous secret that was set under a name that the host shows is hidden', async t => {
  const advanced = { passphrase: 'new secret', previousPassphrase: 'old secret' }
  const host = await startHost(t, { hooks: [hook('vm.*', 'post', 'http://127.0.0.1:9/', { advanced }), hook('vm.*', 'pre', 'http://127.0.0.1:9/')] })
  const shown = async () => (await host.plugin()).configuration.hooks
  await until('it is saved under another name', async () => (await shown())[0].advanced.previousPassword !== undefined)
  assert.ok(!JSON.stringify(await shown()).includes('secret'))
  const { passphrase, previousPassphrase, previousPassword } = host.savedHooks()[0].advanced
  assert.deepEqual({ passphrase, previousPassphrase, previousPassword }, { passphrase: 'new secret', previousPassphrase: undefined, previousPassword: 'old secret' })
  // saved so by a version before: at the next start
  await host.stop()
  const saved = join(host.dataFolder, 'plugins.json')
  writeFileSync(saved, readFileSync(saved, 'utf8').replace('previousPassword', 'previousPassphrase'))
  await host.start()
  await until('it is saved under another name', async () => (await shown())[0].advanced.previousPassword !== undefined)
  assert.ok(!JSON.stringify(await shown()).includes('secret'))
})

test('secrets stay at their hooks when hooks and headers move', async t => {
  const target = await httpTarget(t)
  const secret = (path, value) =>
    hook('vm.*', 'post', target.url + path, { advanced: { token: value, headers: [{ name: 'X-A', passwordValue: `${value}-a` }, { name: 'X-B', passwordValue: `${value}-b` }] } })
  const host = await startHost(t, { hooks: [hook('vm.*', 'post', `${target.url}none`), secret('one', 'first'), secret('two', 'second')] })
  const [, one, two] = (await host.plugin()).configuration.hooks
  const fewer = { ...one, advanced: { ...one.advanced, headers: one.advanced.headers.slice(1) } }
  await host.configure([two, hook('vm.*', 'post', `${target.url}new`, { advanced: { token: 'third' } }), fewer])
  await until('what was meant is saved', () => host.savedHooks()[2].advanced.headers[0].passwordValue === 'first-b')
  assert.deepEqual(host.savedHooks().map(({ advanced }) => advanced.token), ['second', 'third', 'first'])
  await host.call('vm.start', { id: VM })
  const of = path => target.requests.find(({ url }) => url === `/${path}`).headers
  await target.count(3)
  assert.deepEqual(['one', 'two', 'new'].map(path => of(path).authorization), ['Bearer first', 'Bearer second', 'Bearer third'])
  assert.deepEqual([of('one')['x-a'], of('one')['x-b'], of('two')['x-a']], [undefined, 'first-b', 'second-a'])
})

test('a hidden secret that is not known to be the one of the hook is refused, and goes to no other target', async t => {
  const secret = (url, token) => hook('vm.*', 'post', url, { advanced: { token } })
  const host = await startHost(t, { hooks: [secret('http://127.0.0.1:9/a', 'first'), secret('http://127.0.0.1:9/b', 'second')] })
  const [hidden] = (await host.plugin()).configuration.hooks
  await assert.rejects(host.configure([{ ...hidden, url: 'http://127.0.0.1:9/c' }]), /hook 1, advanced\/token: enter this secret anew/)
  assert.equal(host.savedHooks().length, 2)
  await host.configure([secret('http://127.0.0.1:9/c', 'third')])
  assert.equal(host.savedHooks()[0].advanced.token, 'third')
})

test('every secret of the form is under a key that the host hides', async t => {
  const host = await startHost(t, {})
  const { configurationSchema } = await host.plugin()
  const found = []
  const look = ({ properties = {}, items }) => {
    for (const [key, property] of Object.entries(properties)) {
      if (/secret|password|passphrase|bearer/i.test(property.title) && property.type === 'string') found.push(key)
      look(property)
    }
    if (items !== undefined) look(items)
  }
  look(configurationSchema)
  assert.deepEqual(found.sort(), ['passphrase', 'passphrase', 'passwordValue', 'previousPassword', 'proxyPassword', 'token'])
})

test('the form lists the methods, with wildcards', async t => {
  const host = await startHost(t, {})
  const { configurationSchema } = await host.plugin()
  const { method, format } = configurationSchema.properties.hooks.items.properties
  for (const name of ['*', 'vm.*', 'vm.start']) assert.ok(method.enum.includes(name))
  assert.equal(method.enum.length, method.enumNames.length)
  assert.deepEqual(format.enum.slice(0, 2), ['json', 'office365'])
  const names = ['method', 'type', 'url', 'format', 'waitForResponse', 'name', 'enabled', 'advanced']
  assert.deepEqual(Object.keys(configurationSchema.properties.hooks.items.properties), names)
})

test('waitForResponse delays the call until the answer, and never longer than the timeout', async t => {
  const answers = []
  const slow = await httpTarget(t, (request, response) => answers.push(response))
  const silent = await httpTarget(t, () => {})
  const host = await startHost(t, {
    hooks: [
      hook('vm.start', 'pre/post', slow.url, { waitForResponse: true, advanced: { timeout: 600 } }),
      hook('vm.stop', 'pre', silent.url, { waitForResponse: true, advanced: { timeout: 0.4 } }),
    ],
  })
  let ended = false
  const call = host.call('vm.start', { id: VM }).then(() => (ended = true))
  assert.equal((await slow.next()).json.type, 'pre')
  await host.call('vm.stop', { id: VM }) // ends although nobody ever answers
  assert.equal(silent.requests.length, 1)
  assert.equal(ended, false)
  assert.equal(answers.length, 1, 'the call has not been made, so there is no post')
  answers[0].end()
  await call
  assert.equal((await slow.next()).json.type, 'post')
})

test('Test sends a sample to every enabled hook and lists those that failed', async t => {
  const good = await httpTarget(t)
  const bad = await httpTarget(t, (request, res) => res.writeHead(503).end('closed'))
  const host = await startHost(t, {
    hooks: [hook('vm.*', 'post', good.url), hook('vm.*', 'post', bad.url, { name: 'Shop' }), hook('vm.*', 'post', bad.url, { enabled: false })],
  })
  await assert.rejects(host.call('plugin.test', { id: 'web-hooks' }), /1 of 2 failed:\nhook 2 \(Shop\), .*503/)
  assert.equal((await good.next()).json.callId, '0')
  assert.equal(bad.requests.length, 1)
})

test('Test lists hooks of a silent target, however many they are', async t => {
  const silent = await httpTarget(t, () => {})
  const hooks = Array.from({ length: 100 }, (_, i) => hook('vm.*', 'post', `${silent.url}${i}`, { advanced: { timeout: 0.5 } }))
  const host = await startHost(t, { hooks })
  await assert.rejects(host.call('plugin.test', { id: 'web-hooks' }), /100 of 100 failed:\nhook 1, /)
})

test('the API methods are there while the plugin is loaded, and gone after', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('vm.*', 'post', target.url, { name: 'M' })] })
  await host.call('vm.start', { id: VM })
  const delivered = await until('it is delivered', async () => {
    const { deliveries } = await host.call('webHooks.getDeliveries', { status: 'delivered', limit: 10 })
    return deliveries[0]
  })
  const detail = await host.call('webHooks.getDelivery', { id: delivered.id })
  assert.equal(detail.attempts.length, 1)
  assert.equal(detail.source, 'xo')
  assert.deepEqual(await host.call('webHooks.retryDeliveries', { dead: true }), { retried: 0 })
  assert.deepEqual(await host.call('webHooks.retryDeliveries', { ids: `${delivered.id}, ${delivered.id}` }), { retried: 0 })
  assert.equal((await host.stats()).plugin.connected, true)
  await host.unload()
  await assert.rejects(host.call('webHooks.getStats'), /method/i)
  assert.equal(host.children().length, 0)
  await host.load()
  assert.equal((await host.call('webHooks.getDeliveries', {})).deliveries.length, 1)
})

test('nothing accepted is lost: kill -9 of the program, of the host, a restart', async t => {
  const target = await httpTarget(t)
  const { port } = target
  const host = await startHost(t, { hooks: [hook('vm.start', 'post', target.url)] })
  await target.close()
  for (let i = 0; i < 20; i++) await host.call('vm.start', { id: VM })
  process.kill(await host.child(), 'SIGKILL')
  for (let i = 0; i < 20; i++) await host.call('vm.start', { id: VM })
  await host.connected()
  await until('all is accepted', async () => (await host.stats()).plugin.waiting.count === 0)
  const children = host.children()
  await host.stop('SIGKILL')
  await until('no process is left behind', () => processes(args => args[1] === 'serve' && args.includes(join(host.dataFolder, 'web-hooks'))).length === 0)
  assert.equal(children.length, 1)
  const back = await httpTarget(t, undefined, { port })
  await startHost(t, { base: host.base, folder: host.folder, dataFolder: host.dataFolder })
  await until('every call has arrived', () => new Set(back.requests.map(({ json }) => json.callId)).size === 40)
  const ids = back.requests.map(({ headers }) => headers['webhook-id'])
  assert.equal(new Set(ids).size, 40, 'a call is one delivery, whatever died meanwhile')
})

test('a backup run by hand sends one pre and one post', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('backupNg.runJob', 'pre/post', target.url), hook('acl.get', 'post', target.url)] })
  const id = await host.call('backupNg.createJob', { name: 'nightly' })
  await host.call('backupNg.runJob', { id, schedule: 's1' })
  await host.call('acl.get', {}) // a third event of the run would come before this one
  const requests = await target.count(3)
  assert.deepEqual(requests.map(({ json }) => `${json.method} ${json.type}`).sort(), ['acl.get post', 'backupNg.runJob post', 'backupNg.runJob pre'])
})

test('a scheduled backup run sends its own pre and post, also one whose schedule was made in a call', async t => {
  const target = await httpTarget(t)
  const host = await startHost(t, { hooks: [hook('backupNg.runJob', 'pre/post', target.url)] })
  const jobId = await host.call('backupNg.createJob', { name: 'nightly' })
  const id = await host.call('schedule.create', { jobId })
  await host.call('schedule.runNow', { id })
  await host.call('job.runSequence', { idSequence: [jobId] })
  const failing = await host.call('backupNg.createJob', { name: 'broken', settings: { fails: true } })
  await assert.rejects(host.call('backupNg.runJob', { id: failing, schedule: id }), /not reachable/)
  await assert.rejects(host.call('backupNg.runJob', { id: 'missing', schedule: id })) // a call that became no run is told as well
  const requests = (await target.count(8)).map(({ json }) => json)
  for (const { callId } of requests) {
    const types = requests.filter(request => request.callId === callId).map(({ type }) => type)
    assert.deepEqual(types.sort(), ['post', 'pre'])
  }
  const posts = requests.filter(({ type }) => type === 'post')
  assert.deepEqual(posts.map(({ error }) => error?.message ?? 'done').sort(), ['done', 'done', 'no such job missing', 'the repository is not reachable'])
})

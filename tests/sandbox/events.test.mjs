// The plugin with events that no API call of the stand-in would give, and with a program that is not well: in the test's own process.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'

import { cleanUp, httpTarget, program, start, tempFolder, until } from '../lib/program.mjs'
import { hook, processes } from './helpers.mjs'

const factory = createRequire(import.meta.url)('../../plugin/index.js')

let calls = 0
const event = (method, more) => ({ callId: `c${++calls}`, userName: 'admin', method, params: {}, timestamp: Date.now(), ...more })

// The plugin, configured and loaded, with what it logs.
async function plugin(t, hooks, { beforeLoad = () => {}, ...staticConfig } = {}) {
  const xo = new EventEmitter()
  xo.hooks = new EventEmitter()
  let methods = {}
  xo.addApiMethods = ({ webHooks }) => {
    assert.equal(Object.keys(methods).length, 0, 'the API methods are there already')
    methods = webHooks
    return () => (methods = {})
  }
  const folder = tempFolder(t)
  const log = []
  t.mock.method(console, 'error', message => log.push(message))
  const instance = factory({ xo, staticConfig: { binary: program(), ...staticConfig }, getDataDir: async () => folder })
  await instance.configure({ hooks }, { loaded: false })
  beforeLoad()
  await instance.load()
  cleanUp(t, () => methods.getStats && instance.unload())
  const stats = async () => (await methods.getStats({})).plugin
  return {
    xo,
    instance,
    log,
    stats,
    connected: () => until('it is connected', async () => (await stats()).connected),
    child: () => until('the program runs', () => processes(args => args[1] === 'serve' && args.includes(folder))[0]),
    trouble: () => log.filter(line => /warning|error/.test(line)),
  }
}

const post = (xo, result) => xo.emit('xo:postCall', event('vm.start', { result }))

test('an event whose result is not JSON is sent without it', async t => {
  const target = await httpTarget(t)
  const { xo, connected, stats, trouble, instance } = await plugin(t, [hook('vm.start', 'post', target.url)])
  await connected()
  const circular = {}
  circular.self = circular
  post(xo, 1n)
  post(xo, circular)
  post(xo, { get broken() { throw null } }) // eslint-disable-line
  post(xo, { toJSON() { throw null } })
  post(xo, 'good')
  const requests = await target.count(5)
  assert.deepEqual(requests.map(({ json }) => json.result).filter(result => result !== undefined), ['good'])
  assert.equal((await stats()).unserializable, 0)
  assert.equal(trouble().length, 1, 'said once')
  assert.match(trouble()[0], /an event of vm.start is sent without its result, which can't be written as JSON: .*BigInt/)
  xo.emit('xo:postCall', event('vm.start', { params: { n: 1n } }))
  assert.equal((await stats()).unserializable, 1)
  assert.match(trouble()[1], /an event of vm.start is not sent: it can't be written as JSON/)
  await instance.unload()
  assert.match(trouble()[2], /sent without its result.*\(3 times since it was last said\)/)
})

test('what was dropped is said in full, at the latest when the plugin is unloaded', async t => {
  const target = await httpTarget(t)
  const { xo, instance, connected, child, stats, trouble } = await plugin(t, [hook('vm.start', 'post', target.url)], { memoryCapMiB: 0.01 })
  await connected()
  const pid = await child()
  process.kill(pid, 'SIGSTOP')
  xo.emit('xo:postCall', event('vm.start', { params: { n: 1n } })) // another kind of trouble
  for (let i = 0; i < 30; i++) post(xo, 'x'.repeat(1000))
  process.kill(pid, 'SIGCONT')
  await until('the rest is accepted', async () => (await stats()).waiting.count === 0)
  const { dropped } = await stats()
  await instance.unload()
  const lines = trouble().filter(line => /was dropped/.test(line))
  assert.equal(lines.length, 2)
  assert.match(lines[1], new RegExp(`\\(${dropped - 1} times since it was last said\\)`))
})

for (const how of ['stop', 'unload'])
  test(`events that wait for a program that was just killed reach the next one on ${how}`, async t => {
    const target = await httpTarget(t)
    const { xo, instance, connected, child, stats, trouble } = await plugin(t, [hook('vm.start', 'post', target.url)])
    await connected()
    process.kill(await child(), 'SIGKILL')
    await until('it is seen', () => trouble().length > 0)
    for (let i = 0; i < 5; i++) post(xo, i)
    if (how === 'stop') await Promise.all(xo.hooks.listeners('stop').map(listener => listener()))
    else {
      await instance.unload()
      await instance.load() // the program may have ended before it had sent all
    }
    assert.equal((await stats()).waiting.count, 0)
    await target.count(5)
    assert.ok(!trouble().some(line => /has not confirmed/.test(line)))
  })

test('events that the program never confirmed are told when the host stops', async t => {
  const folder = tempFolder(t)
  const { xo, trouble, instance } = await plugin(t, [hook('vm.start', 'post', 'http://127.0.0.1:9/')], { socket: join(folder, 'none.sock') })
  for (let i = 0; i < 7; i++) post(xo, i)
  await Promise.all(xo.hooks.listeners('stop').map(listener => listener()))
  assert.ok(trouble().some(line => /7 events that the delivery program has not confirmed are lost unless it has read them/.test(line)), trouble().join('\n'))
  await instance.unload()
  assert.match(trouble().join('\n'), /7 events that the delivery program has not confirmed wait in memory until the plugin is loaded again/)
})

test('an event longer than the line that the program takes is dropped by its name, and its call goes on', async t => {
  const folder = tempFolder(t)
  const target = await httpTarget(t)
  const serve = start(t, ['serve', '--data', folder, '--line-cap', '4K'])
  await serve.waitFor(/ serves, process /)
  const hooks = [hook('vm.start', 'pre', target.url, { waitForResponse: true, advanced: { timeout: 600 } })]
  const { xo, connected, stats, trouble } = await plugin(t, hooks, { socket: join(folder, 'xo-hooks.sock') })
  await connected()
  const pre = text => Promise.all(xo.listeners('xo:preCall').map(listener => listener(event('vm.start', { params: { text } }))))
  await pre('é'.repeat(2100)) // short enough in characters
  assert.equal((await stats()).dropped, 1)
  assert.match(trouble()[0], /an event of vm.start \(4\d\d\d bytes\) was dropped: the delivery program takes at most 4096 \(serve --line-cap\)/)
  await pre('é'.repeat(1900))
  assert.equal((await target.next()).json.params.text.length, 1900)
  assert.equal((await stats()).refused, 0)
})

test('a program that dies at each start says why once, and the plugin unloads', async t => {
  const folder = tempFolder(t)
  const script = join(folder, 'crash')
  const tries = join(folder, 'tries')
  mkdirSync(tries)
  writeFileSync(script, `#!/bin/sh\n[ "$1" = check ] && exec ${program()} "$@"\nmktemp ${tries}/XXXXXX >&2\necho 'out of order' >&2\nexit 3\n`)
  chmodSync(script, 0o755)
  const { instance, log, trouble } = await plugin(t, [hook('vm.start', 'post', 'http://127.0.0.1:9/')], { binary: script })
  await until('it was tried four times', () => log.filter(line => line.includes(tries)).length >= 4)
  assert.equal(trouble().filter(line => /out of order/.test(line)).length, 1)
  assert.equal(trouble().filter(line => /no connection to the delivery program: .*ended with status 3/.test(line)).length, 1)
  await instance.unload()
})

test('a configuration that is saved while the program starts takes effect', async t => {
  const folder = tempFolder(t)
  const target = await httpTarget(t)
  const [script, closed, checking] = ['slow', 'closed', 'checking'].map(name => join(folder, name))
  // a check lasts while `closed` is there, and the program starts once one has begun: it is connected in the middle of the check
  const wait = `touch ${checking}; while [ -e ${closed} ]; do sleep 0.05; done`
  writeFileSync(script, `#!/bin/sh\n[ "$1" = check ] && { ${wait}; }\n[ "$1" = serve ] && while [ ! -e ${checking} ]; do sleep 0.05; done\nexec ${program()} "$@"\n`)
  chmodSync(script, 0o755)
  const before = [hook('vm.stop', 'post', `${target.url}old`)]
  const { xo, instance, connected, stats } = await plugin(t, before, { binary: script, beforeLoad: () => rmSync(checking) })
  assert.equal((await stats()).connected, false)
  writeFileSync(closed, '')
  const saved = instance.configure({ hooks: [hook('vm.start', 'post', `${target.url}new`)] }, {})
  await connected()
  rmSync(closed)
  await saved
  post(xo, true)
  assert.equal((await target.next()).url, '/new')
})

test('a program whose folder is a file is no reason that loading fails, and is named', async t => {
  const folder = tempFolder(t)
  const bin = join(folder, 'bin')
  const { xo, instance, trouble, connected, stats } = await plugin(t, [hook('vm.start', 'post', 'http://127.0.0.1:9/')])
  await connected()
  await instance.unload()
  writeFileSync(bin, '')
  const broken = factory({ xo, staticConfig: { binary: join(bin, 'xo-hooks') }, getDataDir: async () => folder })
  await assert.rejects(broken.configure({ hooks: [] }, {}), /the program .*bin\/xo-hooks can't be run: spawn ENOTDIR/)
  await broken.load()
  assert.equal((await stats()).connected, false)
  assert.match(trouble().at(-1), /no connection to the delivery program: the program .* can't be run: spawn ENOTDIR/)
  await broken.unload()
  await broken.load() // nothing was left behind
  await broken.unload()
})

test('what is no configuration is refused with words', async t => {
  const { instance } = await plugin(t, [])
  for (const odd of [null, undefined, 'x', {}, { hooks: {} }, { hooks: 'x' }]) await assert.rejects(instance.configure(odd, {}), /must be an object with "hooks", a list/)
  for (const odd of [null, 5, undefined]) await assert.rejects(instance.configure({ hooks: [{}, odd] }, {}), /hook 2: must be an object/)
})

// A disk that fails at every step in turn: what was acknowledged as durable is on it, what was not is told, and nothing else happens.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, root, run, tempFolder, until } from '../lib/program.mjs'
import { event, hook, Serve } from '../lib/serve.mjs'

const WRITES = 1
const SYNCS = 2
const SHORT = 4
const HANG = 8
const ALWAYS = 2 ** 30
const { EIO, ENOSPC } = constants.errno
const TROUBLES = [
  ['a write fails', WRITES, EIO],
  ['a write finds the disk full', WRITES, ENOSPC],
  ['half is written', WRITES | SHORT, ENOSPC],
  ['a sync fails', SYNCS, EIO],
]

// What the program's disk does is what `plan` said last.
function disk(t) {
  const file = join(tempFolder(t), 'plan')
  const plan = (what = 0, code = 0, after = 0, times = 0) => writeFileSync(file, Buffer.from(Int32Array.of(what, code, after, times, 0).buffer), { flag: 'r+' })
  writeFileSync(file, Buffer.alloc(20))
  return {
    plan,
    failures: () => readFileSync(file).readInt32LE(16),
    env: { LD_PRELOAD: join(root, 'build/release/tests/faults/preload_disk.so'), XO_HOOKS_TEST_DISK: file },
  }
}

test('a disk that fails while events come', { concurrency: true }, async t => {
  const cases = TROUBLES.flatMap(([name, what, code]) => [1, ALWAYS].map(times => ({ name, what, code, times })))
  await Promise.all(
    cases.map(({ name, what, code, times }) => t.test(`${name}, ${times === 1 ? 'once' : 'until it is repaired'}`, t => failing(t, what, code, times)))
  )
})

async function failing(t, what, code, times) {
  const { plan, failures, env } = disk(t)
  const target = await httpTarget(t)
  const s = await new Serve(t, [hook('*', 'post', target.url)], { preset: 'release', env }).start()
  const source = await s.source()
  const durable = new Set()
  let id = 0
  let failed = 0
  const send = async () => {
    source.send({ id: ++id, event: event('vm.start', 'post', { callId: `c${id}` }) })
    const answer = await source.answer(id)
    assert.equal(answer.accepted, true, JSON.stringify(answer))
    if (answer.durable !== false) durable.add(`c${id}`)
  }
  for (const after of [0, 1, 2, 4, 7]) {
    plan(what, code, after, times)
    await send()
    await send()
    await until('its delivery', () => target.requests.length >= id)
    failed += failures() > 0
    plan()
    await until('it is written again', async () => (await source.call('stats')).store.durable)
  }
  assert.ok(failed > 1, `the disk failed in ${failed} rounds only`)
  await s.settled('delivered', id) // those from the time of trouble too
  await s.stop('SIGKILL')
  assert.equal(execFileSync('python3', ['-c', CHECK, join(s.data, 'outbox.db')]).toString(), 'ok\n')
  s.options.env = {}
  await s.start()
  const kept = new Map((await s.log()).map(({ callId, status }) => [callId, status]))
  for (const call of durable) assert.ok(kept.has(call), `${call} was acknowledged as durable and is gone`)
  assert.equal(new Set(target.requests.map(({ json }) => json.callId)).size, id)
}

test('what can not be stored comes after what is: a post event does not overtake its pre event', async t => {
  const { plan, env } = disk(t)
  const open = []
  let isOpen = false
  const target = await httpTarget(t, (request, res) => (isOpen ? res.end() : open.push(res)))
  const s = await new Serve(t, [hook('*', 'pre/post', target.url, { advanced: { timeout: 60 } })], { preset: 'release', env }).start()
  const source = await s.source()
  const backlog = 4200 // more than memory takes for one target: the rest is in the outbox only
  for (let id = 1; id <= backlog; id++) source.send({ id, event: event('vm.stop', 'pre', { callId: `c${id}` }) })
  source.send({ id: backlog + 1, event: event('vm.start', 'pre', { callId: 'the call' }) })
  await source.answer(backlog + 1)
  plan(WRITES, ENOSPC, 0, ALWAYS)
  source.send({ id: backlog + 2, event: event('vm.start', 'post', { callId: 'the call' }) })
  assert.equal((await source.answer(backlog + 2)).durable, false)
  isOpen = true
  for (const res of open) res.end()
  await target.count(4096) // what was in memory
  plan()
  const types = () => target.requests.filter(({ json }) => json.method === 'vm.start').map(({ json }) => json.type)
  await until('both are sent', () => types().length === 2)
  assert.deepEqual(types(), ['pre', 'post'])
})

const CHECK = `
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])`

test('a damaged outbox, and a full disk when the new one is made: what was acknowledged after that is delivered', async t => {
  const { plan, env } = disk(t)
  const target = await httpTarget(t)
  const { port } = target
  await target.close()
  const retry = { advanced: { retry: { schedule: [0, 1, 1, 1, 1, 1, 1, 1, 1, 1] } } }
  const s = await new Serve(t, [hook('*', 'post', `http://127.0.0.1:${port}/`, retry)], { preset: 'release', env }).start()
  const { instance } = (await s.source({ source: 'q' })).hello
  const source = await s.source()
  let id = 0
  const send = async () => {
    source.send({ id: ++id, event: event('vm.start', 'post', { callId: `c${id}` }) })
    return source.answer(id)
  }
  for (let i = 0; i < 10; i++) assert.equal((await send()).accepted, true)
  const lost = id
  await until('the target is seen to be down', async () => (await source.call('stats')).targets[0].failingSince)
  damage(s.data)
  plan(WRITES, ENOSPC, 0, ALWAYS)
  while (!s.process.stderr.some(line => /set aside as/.test(line))) assert.equal((await send()).accepted, true)
  for (let i = 0; i < 5; i++) assert.equal((await send()).durable, false)
  plan()
  await until('it is written again', async () => (await source.call('stats')).store.durable)
  assert.equal((await send()).durable, undefined)
  assert.equal((await s.source({ source: 'r' })).hello.instance, instance)
  const { deliveries } = await source.call('stats')
  assert.ok(deliveries.pending >= id - lost && deliveries.pending <= id, JSON.stringify(deliveries))
  await s.stop('SIGKILL')
  const up = await httpTarget(t, undefined, { port })
  s.write([]) // its hook is known from the outbox alone
  await s.start()
  const calls = new Set()
  await until('all of them', () => {
    for (const { json } of up.requests) calls.add(json.callId)
    for (let i = lost + 1; i <= id; i++) if (!calls.has(`c${i}`)) return false
    return true
  })
  assert.ok(up.requests.every(({ headers }) => headers['webhook-id'].startsWith(`msg_${instance}`)))
})

test('after damage, what was lost is not counted as pending', async t => {
  let status = 500
  const target = await httpTarget(t, (request, res) => res.writeHead(status).end())
  const s = await new Serve(t, [hook('*', 'post', target.url, { advanced: { retry: { schedule: [0, 1, 1, 1, 1, 1] } } })], { preset: 'release' }).start()
  const source = await s.source()
  for (let id = 1; id <= 20; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  await target.count(20)
  damage(s.data)
  status = 200
  source.send({ id: 21, event: event('vm.start', 'post', { callId: 'c21' }) })
  await source.answer(21)
  await s.process.waitFor(/set aside as/)
  await until('nothing is pending', async () => {
    const { deliveries, targets } = await source.call('stats')
    return deliveries.pending === 0 && targets[0].pending === 0
  })
})

// Overwrites all but the first page of a database that is in use, journal and all.
function damage(folder) {
  const database = join(folder, 'outbox.db')
  execFileSync('python3', ['-c', 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()', database])
  const file = openSync(database, 'r+')
  const size = fstatSync(file).size - 4096
  writeSync(file, randomBytes(size), 0, size, 4096)
  closeSync(file)
}

const BIG = 'y'.repeat(1_500_000) // more than the memory that the next tests allow

// A program that takes no big event while its disk is full, with a hook for all events of the source "xo".
async function narrow(t) {
  const { plan, env } = disk(t)
  const target = await httpTarget(t)
  const s = await new Serve(t, [], { preset: 'release', env, args: ['--memory-cap', '1M'] }).start()
  const configured = await s.source({ source: 'xo' })
  configured.send({ id: 1, configure: { hooks: [hook('*', 'post', target.url)] } })
  await configured.answer(1)
  const session = acks => s.source({ source: 'xo', session: `s-${acks}`, acks })
  const full = () => plan(WRITES, ENOSPC, 0, ALWAYS)
  const repaired = async source => {
    plan()
    await until('it is written again', async () => (await source.call('stats')).store.durable)
  }
  return { s, target, session, full, repaired }
}

for (const acks of ['each', 'cumulative'])
  test(`a refused event that is sent again is taken, once (acks: ${acks})`, async t => {
    const { s, target, session, full, repaired } = await narrow(t)
    const big = id => ({ id, event: event('vm.start', 'post', { callId: `c${id}`, params: { pad: BIG } }) })
    const small = id => ({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
    const first = await session(acks)
    const refused = id => first.find(`the refusal of ${id}`, line => line.id === id && line.error?.code === 'EFULL')
    full()
    first.send(big(5))
    await refused(5)
    first.send(small(6))
    await first.answer(6)
    await repaired(first)
    first.send(small(7))
    await first.find('7', line => line.id === 7 || line.acceptedUpTo === 7)
    assert.equal((await session(acks)).hello.acceptedUpTo, 4, 'everything up to 7 but 5 is safe')

    // After a restart too.
    await s.settled('delivered', 2)
    await s.stop('SIGKILL')
    await s.start()
    const second = await session(acks)
    assert.equal(second.hello.acceptedUpTo, 4)
    second.send({ id: 1, configure: { hooks: [hook('*', 'post', target.url)] } })
    await second.answer(1)
    second.send(big(5))
    await second.find('5', line => line.id === 5 || line.acceptedUpTo === 5)

    // Its refusal has no reader.
    full()
    second.send(big(8))
    await until('it is refused', async () => (await s.json('stats')).store.refused === 1)
    second.close()
    const third = await session(acks)
    await repaired(third)
    assert.equal(third.hello.acceptedUpTo, 5)
    third.send(big(8))
    third.send(big(8)) // on its way already, or committed
    await third.find('8', line => line.id === 8 || line.acceptedUpTo === 8)
    await target.count(4)
    await until('all are delivered', async () => (await third.call('stats')).deliveries.pending === 0)
    assert.deepEqual(target.requests.map(({ json }) => json.callId).sort(), ['c5', 'c6', 'c7', 'c8'])
    assert.equal((await session(acks)).hello.acceptedUpTo, 8)
  })

test('cumulative acknowledgements cover what was refused, so that nobody waits for it', async t => {
  const { s, session, full } = await narrow(t)
  full()
  const file = join(s.folder, 'event.json')
  writeFileSync(file, JSON.stringify(event('vm.start', 'post', { params: { pad: BIG } })))
  const { status, stdout, stderr } = await s.command('send', '--source', 'xo', '--json', file)
  assert.equal(status, 1, stderr)
  assert.deepEqual(JSON.parse(stdout), { sent: 1, accepted: 0, refused: 1 })
  const source = await session('cumulative')
  source.send({ id: 3, event: { type: 'post' } })
  await source.find('its turn', line => line.acceptedUpTo === 3)
  assert.equal(source.lines[1].error.code, 'EMISSING')
  assert.equal((await session('cumulative')).hello.acceptedUpTo, 0, 'what was no event is not counted as seen')
})

test('a session that another has taken over does not move its progress; what is sent again in the middle of its commit is acknowledged', async t => {
  const { plan, env } = disk(t)
  const target = await httpTarget(t)
  const s = await new Serve(t, [], { preset: 'release', env }).start()
  const open = (session, acks = 'cumulative') => s.source({ source: 'xo', session, acks })
  const a = await open('a')
  a.send({ id: 1, configure: { hooks: [hook('*', 'post', target.url)] } })
  await a.answer(1)
  plan(HANG)
  a.send({ id: 500, event: event('vm.start') })
  await until('it is on its way', async () => (await s.json('stats')).events.received === 1)
  const b = await open('b')
  assert.equal(b.hello.acceptedUpTo, 0)
  plan()
  await a.find('its acknowledgement', line => line.acceptedUpTo === 500)
  assert.equal((await open('b')).hello.acceptedUpTo, 0)

  for (const acks of ['each', 'cumulative']) {
    plan(HANG)
    const before = await open(`c-${acks}`, acks)
    before.send({ id: 1, event: event('vm.stop') })
    await until('it is on its way', async () => (await s.json('stats')).memory.acceptingBytes > 0)
    before.close()
    const after = await open(`c-${acks}`, acks)
    assert.equal(after.hello.acceptedUpTo, 0)
    after.send({ id: 1, event: event('vm.stop') })
    await after.call('ping')
    plan()
    await after.find('its acknowledgement', line => (acks === 'each' ? line.id === 1 && line.accepted : line.acceptedUpTo === 1))
  }
  await target.count(3)
  assert.equal((await s.json('stats')).deliveries.accepted, 3)
})

for (const [what, signal] of [
  ['a crash', 'SIGKILL'],
  ['an orderly end', 'SIGTERM'],
  ['nothing at all', undefined],
])
  test(`after ${what}, a full disk keeps nobody from starting: from memory, until there is room`, async t => {
    const { plan, env } = disk(t)
    const target = await httpTarget(t)
    const s = new Serve(t, [hook('*', 'post', target.url)], { preset: 'release', env })
    const full = () => plan(WRITES, ENOSPC, 0, ALWAYS)
    let before = 0
    let instance
    if (signal) {
      await s.start()
      const source = await s.source({ source: 'local', session: 'a' })
      instance = source.hello.instance
      source.send({ id: 1, event: event('vm.start', 'post', { callId: 'c1' }) })
      await source.answer(1)
      await s.settled('delivered', 1)
      await s.stop(signal)
      before = 1
    }
    full()
    await s.start()
    await s.process.waitFor(/can't be written/)
    const source = await s.source({ source: 'local', session: 'a' })
    if (instance) assert.deepEqual([source.hello.instance, source.hello.acceptedUpTo], [instance, 1])
    source.send({ id: 2, event: event('vm.start', 'post', { callId: 'c2' }) })
    assert.equal((await source.answer(2)).durable, false)
    await target.count(before + 1)
    await s.stop('SIGKILL') // and again, still without room
    await s.start()
    const again = await s.source({ source: 'local', session: 'b' })
    again.send({ id: 3, event: event('vm.start', 'post', { callId: 'c3' }) })
    assert.equal((await again.answer(3)).durable, false)
    await target.count(before + 2)
    plan()
    await s.process.waitFor(/is written again/)
    await s.settled('delivered', before + 1)
    again.send({ id: 4, event: event('vm.start', 'post', { callId: 'c4' }) })
    assert.deepEqual(await again.answer(4), { id: 4, accepted: true })
    const all = await s.settled('delivered', before + 2)
    assert.deepEqual(all.map(({ callId }) => callId).sort(), signal ? ['c1', 'c3', 'c4'] : ['c3', 'c4'])
    assert.equal(new Set(target.requests.map(({ headers }) => headers['webhook-id'])).size, target.requests.length)
    assert.equal((await s.source({ source: 'q' })).hello.instance, again.hello.instance)
    assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null })
  })

test('what is on its way to a slow disk is bounded, also when each hook has a body of its own', async t => {
  const { plan, env } = disk(t)
  const hooks = Array.from({ length: 40 }, (_, i) => hook('*', 'post', `http://127.0.0.1:9/${i}`, { advanced: { fields: ['params', 'method', 'type'], retry: { schedule: [0, 3600] } } }))
  const s = await new Serve(t, hooks, { preset: 'release', env }).start()
  const mostMiB = () => readFileSync(`/proc/${s.process.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1] / 1024
  const source = await s.source()
  const params = { pad: 'x'.repeat(200_000) }
  plan(HANG)
  for (let id = 1; id <= 30; id++) source.send({ id, event: event('vm.start', 'post', { params }) }) // 240 MB of bodies
  await until('some of it is taken', () => mostMiB() > 40)
  plan()
  await source.answer(30, 60_000)
  assert.ok(mostMiB() < 150, `${mostMiB()} MiB`)
})

test('a disk that fails while the outbox is opened: it starts, or says why not', async t => {
  const { plan, env } = disk(t)
  let started = 0
  for (const [, what, code] of TROUBLES)
    for (let after = 0; after < 40; after += 7) {
      const folder = tempFolder(t)
      plan(what, code, after, 1)
      const { status, signal, stderr } = await run(['send', '--data', join(folder, 'data'), '--config', config(folder), '/dev/null'], { env })
      assert.equal(signal, null, stderr)
      if (status === 0) started++
      else assert.match(stderr, /data|outbox|disk|full|written|input\/output/i)
    }
  assert.ok(started > 0)
})

function config(folder) {
  const path = join(folder, 'hooks.json')
  writeFileSync(path, '{"hooks":[]}')
  return path
}

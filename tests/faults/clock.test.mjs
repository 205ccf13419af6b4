// The wall clock is set while events wait: nothing expires by that, nothing waits for a time that is far away.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, root, tempFolder, until } from '../lib/program.mjs'
import { event, hook, Serve } from '../lib/serve.mjs'

const YEAR_MS = 365 * 86400 * 1000

// A serve whose wall clock can be set, and a target that fails until it is told to be well.
async function set(t, advanced) {
  const file = join(tempFolder(t), 'offset')
  const setClock = ms => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(ms))
    writeFileSync(file, bytes, { flag: 'r+' }) // in place: the program has it mapped
  }
  writeFileSync(file, Buffer.alloc(8))
  const state = { well: false }
  const target = await httpTarget(t, (request, res) => res.writeHead(state.well ? 200 : 500).end())
  const s = new Serve(t, [hook('*', 'post', target.url, { advanced })], {
    preset: 'release', // a sanitizer's own library must come first
    env: { LD_PRELOAD: join(root, 'build/release/tests/faults/preload_clock.so'), XO_HOOKS_TEST_CLOCK: file },
  })
  await s.start()
  const source = await s.source()
  return { s, source, target, state, setClock, heal: () => (state.well = true) }
}

const send = (source, from, to) => {
  for (let id = from; id <= to; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}` }) })
  return source.answer(to)
}

const noneDied = async s => assert.deepEqual((await s.log()).filter(({ status }) => status === 'dead'), [])

for (const [direction, jump] of [['forward', YEAR_MS], ['back', -YEAR_MS]]) {
  test(`set ${direction} by a year: what waits for its retry is sent in its time`, async t => {
    const { s, source, target, setClock, heal } = await set(t, { retry: { schedule: [0, 1, 1, 1], expire: 3600 } })
    await send(source, 1, 1)
    await target.count(1)
    setClock(jump)
    await send(source, 2, 2)
    await target.count(2)
    heal()
    await s.settled('delivered', 2)
    await noneDied(s)
    assert.ok(s.process.stderr.some(line => line.includes(`clock was set ${direction}`)), s.process.said())
  })

  test(`set ${direction} by a year: a backlog of a held target is delivered when it is back`, async t => {
    const { s, source, target, setClock, heal } = await set(t, { retry: { expire: 3600 } })
    await send(source, 1, 5000)
    await target.count(5)
    setClock(jump)
    await send(source, 5001, 5010)
    heal()
    await until('all are delivered', async () => (await source.call('stats')).deliveries.delivered === 5010)
    await noneDied(s)
    assert.equal((await source.call('stats')).deliveries.dead, 0)
  })

  test(`set ${direction} by a year, noticed, then a restart: the same`, async t => {
    const { s, source, target, setClock, heal } = await set(t, { retry: { schedule: [0, 2, 2, 2], expire: 3600 } })
    await send(source, 1, 3)
    await target.count(3)
    setClock(jump)
    await send(source, 4, 4)
    await s.process.waitFor(/clock was set/)
    await s.stop('SIGTERM')
    heal()
    await s.start()
    await s.settled('delivered', 4)
    await noneDied(s)
  })
}

test('set back while the program does not run: what waits does not wait for the old time to come again', async t => {
  const { s, source, target, setClock, heal } = await set(t, { retry: { schedule: [0, 2, 2, 2], expire: 3600 } })
  await send(source, 1, 3)
  await target.count(3)
  await s.stop('SIGTERM')
  setClock(-YEAR_MS)
  heal()
  await s.start()
  await s.process.waitFor(/clock was set back/)
  await s.settled('delivered', 3)
})

test('set back while the program does not run, and killed before: expiry still comes', async t => {
  const { s, source, target, setClock } = await set(t, { retry: { schedule: [0, ...Array(20).fill(0.4)], expire: 2 } })
  await send(source, 1, 1)
  await target.count(1)
  await s.stop('SIGKILL')
  setClock(-YEAR_MS)
  await s.start()
  const [{ id }] = await s.settled('dead', 1)
  assert.match(JSON.stringify(await s.json('show', id)), /expired/)
})

// What does not fit into memory waits in the outbox, and is read back as it is needed.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { httpTarget, until } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

const COUNT = 300
const MIB = 2 ** 20

// A target that refuses each of many large events once and is slow from then on: all of them are due again, and few fit into its share.
async function slowTarget(t) {
  let isSlow = false
  const target = await httpTarget(t, (request, res) => {
    if (isSlow) return // never
    res.statusCode = 500
    res.end()
  })
  const advanced = { timeout: 600, retry: { schedule: [0, 1, 1, 1] } }
  const s = await serve(t, [hook('vm.start', 'post', target.url, { advanced })])
  const source = await s.source()
  for (let id = 1; id <= COUNT; id++) source.send({ id, event: event('vm.start', 'post', { callId: `c${id}`, params: { text: 'x'.repeat(100_000) } }) })
  await target.count(COUNT)
  isSlow = true
  await target.count(COUNT + 4) // the first of the retries
  return { s, source }
}

test('a slow target with many large retries that are due: the outbox rests, and memory is left for others', async t => {
  const { s, source } = await slowTarget(t)
  const stats = () => source.call('stats')
  let last
  await until('it is quiet', async () => {
    const { store } = await stats()
    const isQuiet = store.commits === last
    last = store.commits
    await new Promise(resolve => setTimeout(resolve, 300))
    return isQuiet
  })
  const { memory, targets } = await stats()
  assert.equal(targets[0].pending, COUNT)
  assert.ok(memory.readyBytes < 20 * MIB, `${memory.readyBytes} bytes of one target are in memory`)
})

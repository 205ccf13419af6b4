// `xo-hooks test`: a sample event to each hook, on its own and through a running program.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, run, tempFolder } from '../lib/program.mjs'
import { hook, serve } from '../lib/serve.mjs'

const good = (request, res) => res.end('thank you')
const bad = (request, res) => ((res.statusCode = 500), res.end('not today'))

async function targets(t) {
  const [fine, failing] = [await httpTarget(t, good), await httpTarget(t, bad)]
  const hooks = [hook('vm.*', 'post', fine.url, { name: 'fine' }), hook('*', 'pre/post', failing.url, { name: 'failing' })]
  return { fine, failing, hooks }
}

test('on its own, with a configuration file: status, times and answer of each hook', async t => {
  const { fine, hooks } = await targets(t)
  const file = join(tempFolder(t), 'hooks.json')
  for (const preset of ['release', 'asan-ubsan']) {
    writeFileSync(file, JSON.stringify({ hooks }))
    const both = await run(['test', '--config', file], { preset })
    assert.equal(both.status, 1, both.stderr)
    assert.match(both.stdout, /ok +fine\n +status 200 \(.*total .*\)\n +answer: thank you\n/)
    assert.match(both.stdout, /FAILED failing\n +status 500/)
    writeFileSync(file, JSON.stringify({ hooks: hooks.slice(0, 1) }))
    const one = await run(['test', '--json', '--config', file], { preset })
    assert.equal(one.status, 0, one.stderr)
    const [result] = JSON.parse(one.stdout).results
    assert.deepEqual([result.hook, result.ok, result.status, result.answer], ['fine', true, 200, 'thank you'])
  }
  assert.equal(fine.requests.length, 4)
})

test('through a running program', async t => {
  const { hooks } = await targets(t)
  const s = await serve(t, hooks, { preset: 'asan-ubsan' })
  const { status, stdout, stderr } = await s.command('test')
  assert.equal(status, 1, stderr)
  assert.match(stdout, /ok +fine/)
  assert.match(stdout, /FAILED failing/)
  assert.deepEqual(await s.stop('SIGTERM'), { code: 0, signal: null }, s.process.said())
})

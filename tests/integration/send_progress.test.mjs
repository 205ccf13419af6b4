// What `send` shows on a terminal, and only there.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { httpTarget, program, run } from '../lib/program.mjs'
import { event, hook, serve } from '../lib/serve.mjs'

const COUNT = 3000

async function setUp(t) {
  const target = await httpTarget(t)
  const s = await serve(t, [hook('none.*', 'post', target.url)])
  const file = join(s.folder, 'events.ndjson')
  writeFileSync(file, `${JSON.stringify(event('vm.start'))}\n`.repeat(COUNT) + 'no event\n')
  return { s, file }
}

// On a terminal of 100 columns that script(1) makes; its output, line by line as it was drawn.
async function onTerminal(command) {
  const { stdout } = await run(['-qec', `stty cols 100; ${command}`, '/dev/null'], { command: 'script', env: { TERM: 'xterm' } })
  return stdout.split(/[\r\n]+/).map(line => line.replace('\x1b[K', '')).filter(Boolean)
}

test('a bar for files', async t => {
  const { s, file } = await setUp(t)
  const lines = await onTerminal(`'${program()}' send --data '${s.data}' '${file}' '${file}'`)
  const bars = lines.map(line => line.match(/^\[(#*)(-*)\] +(\d+)%  (\d+) events, \d+\/s, (\d+) acknowledged, \d+ refused$/)).filter(Boolean)
  assert.ok(bars.length > 0, lines.join('\n'))
  for (const [, full, empty, percent] of bars) assert.ok(Math.abs((full.length + empty.length) * percent / 100 - full.length) <= 1)
  assert.deepEqual(bars.at(-1).slice(2), ['', '100', String(2 * COUNT), String(2 * COUNT)])
  for (const line of lines) assert.ok([...line].length <= 100, line)
})

test('counts when nobody knows how much it will be', async t => {
  const { s, file } = await setUp(t)
  const lines = await onTerminal(`cat '${file}' | '${program()}' send --data '${s.data}'`)
  assert.ok(lines.some(line => line.match(/^3000 events, \d+\/s, 3000 acknowledged, 1 refused$/)), lines.join('\n'))
  assert.ok(!lines.some(line => line.includes('%')), lines.join('\n'))
  const redirected = await onTerminal(`'${program()}' send --data '${s.data}' - < '${file}'`)
  assert.ok(redirected.some(line => line.match(/^\[#+\] 100%  3000 events/)), redirected.join('\n'))
})

test('nothing of that without a terminal', async t => {
  const { s, file } = await setUp(t)
  const { stdout, stderr } = await s.command('send', file)
  assert.doesNotMatch(stdout + stderr, /%|\/s/)
})

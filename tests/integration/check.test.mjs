// `xo-hooks check`: what it says of a configuration, to people and to the plugin.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { run } from '../lib/program.mjs'

const hook = more => ({ method: 'vm.start', type: 'pre', url: 'http://h/', format: 'json', ...more })

const check = (hooks, ...options) => run(['check', ...options, '-'], { input: JSON.stringify({ hooks }) })

async function judged(hooks, ...options) {
  const { status, stdout } = await check(hooks, '--json', ...options)
  return { status, ...JSON.parse(stdout) }
}

test('a method name that is nearly one is a mistake, and with --lenient a warning', async () => {
  const near = [hook({ method: 'vm.stat' })]
  const { status, stdout } = await check(near)
  assert.equal(status, 1)
  assert.match(stdout, /mistake: \/hooks\/0\/method .*did you mean "vm\.start"\?/)
  const lenient = await check(near, '--lenient')
  assert.equal(lenient.status, 0)
  assert.match(lenient.stdout, /warning: \/hooks\/0\/method .*did you mean "vm\.start"\?/)
})

test('every mistake is listed, however many; with --most the first ones and how many more', async () => {
  const count = 8000
  const bad = Array.from({ length: count }, (_, i) => hook({ method: 'acme.x', type: 'prex', url: `ftp://h/${i}` }))
  const { status, stdout, stderr } = await check(bad)
  assert.deepEqual([status, stderr], [1, ''])
  assert.equal(stdout.split('\n').filter(line => line.includes(' mistake: ')).length, 2 * count)
  const all = await judged(bad)
  assert.deepEqual([all.ok, all.mistakes.length, all.more, all.moreWarnings], [false, 3 * count, 0, 0])
  const some = await judged(bad, '--most', '100')
  assert.deepEqual([some.status, some.ok, some.more, some.moreWarnings], [1, false, 2 * count - 100, count - 100])
  assert.equal(some.mistakes.filter(({ warning }) => warning).length, 100)
  assert.equal(some.mistakes.length, 200)
  const told = await check(bad, '--most', '1')
  assert.match(told.stdout, /mistake: [^]*and 15999 more mistakes\n.*and 7999 more warnings\n$/)
})

test('mistakes after many warnings are listed', async () => {
  const hooks = [...Array.from({ length: 3000 }, () => hook()), hook({ type: 'prex' })]
  const { mistakes, more } = await judged(hooks, '--most', '10')
  assert.deepEqual(mistakes.filter(({ warning }) => !warning).map(({ pointer }) => pointer), ['/hooks/3000/type'])
  assert.equal(more, 0)
})

test('--most wants a number', async () => {
  for (const most of ['0', '-1', 'x', '1x', '', '99999999999999999999999']) {
    const { status, stderr } = await run(['check', '--most', most, '-'])
    assert.equal(status, 2, most)
    assert.match(stderr, /--most.*must be a number from 1/)
  }
})

// Parts of the plugin by themselves.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'

import { until } from '../lib/program.mjs'
import { hook } from './helpers.mjs'

const require = createRequire(import.meta.url)
const { Lines } = require('../../plugin/lib/lines.js')
const { Seldom } = require('../../plugin/lib/log.js')
const { settingsOf } = require('../../plugin/lib/settings.js')
const { Table } = require('../../plugin/lib/table.js')

const URL = 'http://127.0.0.1:9/'

test('a result is needed by hooks that send it and by those whose condition asks for it', () => {
  const needs = (format, advanced) => new Table({ hooks: [{ ...hook('vm.start', 'post', URL, { advanced }), format }] }).get('vm.start').result
  const when = property => [{ property, matches: ['x'] }]
  assert.equal(needs('json'), true)
  assert.equal(needs('slack'), false)
  assert.equal(needs('json', { fields: ['method', 'results'] }), false)
  assert.equal(needs('json', { fields: ['result.id'] }), true)
  for (const property of ['result', 'result.power_state']) {
    assert.equal(needs('slack', { when: when(property) }), true)
    assert.equal(needs('json', { fields: ['method'], when: when(property) }), true)
  }
  assert.equal(needs('teams', { when: when('userName') }), false)
})

test('lines are cut out of pieces', () => {
  const lines = new Lines()
  assert.deepEqual(lines.add('a'), [])
  assert.deepEqual(lines.add('b\nc\n\nd'), ['ab', 'c', ''])
  assert.equal(lines.length, 1)
  assert.deepEqual(lines.add('\n'), ['d'])
  assert.deepEqual(lines.add(''), [])
  assert.equal(lines.length, 0)
})

// Searched anew from its beginning with each piece, this would take minutes.
test('a line of many pieces takes time in proportion to its length', { timeout: 60_000 }, () => {
  const lines = new Lines()
  const piece = 'x'.repeat(4096)
  for (let i = 0; i < 32_768; i++) lines.add(piece)
  const [line] = lines.add('\n')
  assert.equal(line.length, 32_768 * 4096)
})

test('the same trouble is said once, then how often it came', async () => {
  const log = []
  const write = message => log.push(message)
  const seldom = new Seldom({ warn: write, error: write }, 30)
  assert.equal(seldom.warn('a', 'first'), true)
  assert.equal(seldom.warn('a', 'second'), false)
  seldom.warn('a', 'third')
  seldom.say('error', 'b', 'another kind')
  await until('the rest is said by itself', () => log.length === 3)
  assert.deepEqual(log, ['first', 'another kind', 'third (2 times since it was last said)'])
})

test('what is held back is said when it is asked for', () => {
  const log = []
  const seldom = new Seldom({ warn: message => log.push(message) })
  seldom.warn('a', 'one')
  seldom.warn('a', 'two')
  seldom.flush()
  seldom.flush()
  assert.deepEqual(log, ['one', 'two (1 time since it was last said)'])
})

test('an odd static configuration is refused with its key and what it may be', () => {
  const odd = [
    [{ memoryCapMiB: 'abc' }, /memoryCapMiB = "abc": must be a number above 0/],
    [{ memoryCapMiB: 0 }, /memoryCapMiB = 0/],
    [{ memoryCapMiB: NaN }, /memoryCapMiB/],
    [{ socket: '' }, /socket = "": must be the path/],
    [{ socket: 5 }, /socket = 5/],
    [{ source: 5 }, /source = 5: must be a name/],
    [{ binary: [] }, /binary = \[\]: must be the path/],
  ]
  for (const [settings, message] of odd) assert.throws(() => settingsOf(settings), message)
  assert.deepEqual(settingsOf({ memoryCapMiB: 0.5 }), { binary: undefined, memoryCapBytes: 524_288, socket: undefined, source: undefined })
})

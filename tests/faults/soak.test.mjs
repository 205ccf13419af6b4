// The soak test for a moment, with sanitizers; ./dev soak runs it for as long as one likes.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Soak } from '../lib/soak.mjs'

test('under load, kill -9, full disks and targets that misbehave, every acknowledged event arrives', async t => {
  const report = await new Soak({ seconds: 12, seed: 7, acknowledgedMin: 101, preset: 'asan-ubsan', log: text => t.diagnostic(text) }).run()
  assert.deepEqual(report.problems, [])
  assert.ok(report.kills > 0 && report.fullDisks > 0 && report.acknowledged > 100, JSON.stringify(report))
})

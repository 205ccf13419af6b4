// The plugin in the stand-in host: the CPU time that a hooked call adds to the host's main thread, beside a plugin that sends with `fetch`
// from the host itself, and calls a second beside a host without hooks. Rounds are interleaved; figures are medians of them.
// Options: --rounds N (9), --calls N (4000), --only small|paced|silent|big|brief.
import { readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { root, start, until } from '../tests/lib/program.mjs'
import { hook, hostFolder, PLUGIN, pluginFolder, startHost } from '../tests/sandbox/helpers.mjs'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, calls: { type: 'string', default: '4000' }, only: { type: 'string' } } })
const ROUNDS = Number(values.rounds)
const CALLS = Number(values.calls)
const IN_FLIGHT = 50
const wanted = name => (values.only ?? name) === name
const PLUGINS = { none: null, ours: pluginFolder('release'), fetch: join(root, 'bench', 'fetch-plugin') }

const say = (name, text) => console.log(`${name.padEnd(46)} ${text}`)
const median = list => [...list].sort((a, b) => a - b)[list.length >> 1]
const us = n => `${n.toFixed(1)} µs`

// CPU time of the process's main thread so far, in µs.
const mainThreadUs = pid => Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000

async function openHost(kind, hooks, requests) {
  const folders = hostFolder(null, PLUGINS[kind])
  const host = await startHost(null, folders)
  if (kind !== 'none') {
    await host.configure(hooks)
    await host.call('plugin.load', { id: PLUGIN })
  }
  if (kind === 'ours') await host.connected()
  const { pid } = host.process
  return {
    // Calls `count` times, `inFlight` at once: µs of the main thread a call, calls a second. What the calls leave behind to do belongs to
    // their cost, so it waits for the requests.
    async round(method, params, count, inFlight) {
      let left = count
      const caller = async () => {
        while (left-- > 0) await host.call(method, params)
      }
      const before = await received()
      const cpu = mainThreadUs(pid)
      const begin = performance.now()
      await Promise.all(Array.from({ length: inFlight }, caller))
      const seconds = (performance.now() - begin) / 1000
      if (kind !== 'none') await until('all have arrived', async () => (await received()) >= before + count * requests, 120_000)
      return { us: (mainThreadUs(pid) - cpu) / count, rate: count / seconds }
    },
    // Calls at a fixed pace, as many as a busy site has: how long each took, in ms.
    async paced(method, perSecond, count) {
      const times = []
      const before = await received()
      const begin = performance.now()
      await Promise.all(
        Array.from({ length: count }, async (_, i) => {
          await new Promise(resolve => setTimeout(resolve, begin + (i * 1000) / perSecond - performance.now()))
          const start = performance.now()
          await host.call(method, {})
          times.push(performance.now() - start)
        })
      )
      const seconds = (performance.now() - begin) / 1000
      if (kind !== 'none') await until('all have arrived', async () => (await received()) >= before + 2 * count, 120_000)
      return { times, rate: count / seconds }
    },
    async close() {
      await host.stop('SIGKILL')
      rmSync(folders.base, { recursive: true, force: true })
    },
  }
}

async function compare(hooks, method, params, { calls = CALLS, inFlight = IN_FLIGHT, rounds = ROUNDS, requests = 0 } = {}) {
  const hosts = {}
  const results = {}
  for (const kind of Object.keys(PLUGINS)) {
    hosts[kind] = await openHost(kind, hooks, requests)
    results[kind] = []
    await hosts[kind].round(method, params, Math.ceil(calls / 2), inFlight) // warm
  }
  for (let i = 0; i < rounds; i++)
    for (const kind of Object.keys(hosts)) results[kind].push(await hosts[kind].round(method, params, calls, inFlight))
  for (const host of Object.values(hosts)) await host.close()
  const of = (kind, what) => median(results[kind].map(result => result[what]))
  const added = kind => median(results[kind].map((result, i) => result.us - results.none[i].us))
  const rates = kind => median(results[kind].map((result, i) => result.rate / results.none[i].rate))
  return { base: of('none', 'us'), ours: added('ours'), fetch: added('fetch'), oursRate: rates('ours'), fetchRate: rates('fetch'), noneRate: of('none', 'rate') }
}

function report(what, { base, ours, fetch, oursRate, fetchRate, noneRate }, remark = '; wanted 0.05 at most') {
  say(`${what}: a hooked call adds`, `${us(ours)}, ${(ours / fetch).toFixed(3)} of what fetch adds (${us(fetch)})${remark}. A call without hooks is ${us(base)}`)
  say(`${what}: calls a second`, `${oursRate.toFixed(2)} of those without hooks (${noneRate.toFixed(0)}/s), with fetch ${fetchRate.toFixed(2)}; wanted 0.95`)
}

// What a user of XO notices: how long a call takes while the site is busy, and whether the calls keep their pace.
async function comparePaced(hooks, method, perSecond) {
  const hosts = {}
  const results = {}
  for (const kind of Object.keys(PLUGINS)) {
    hosts[kind] = await openHost(kind, hooks)
    results[kind] = []
    await hosts[kind].paced(method, perSecond, perSecond) // warm
  }
  for (let i = 0; i < ROUNDS; i++)
    for (const kind of Object.keys(hosts)) results[kind].push(await hosts[kind].paced(method, perSecond, 2 * perSecond))
  for (const host of Object.values(hosts)) await host.close()
  const rate = kind => median(results[kind].map((result, i) => result.rate / results.none[i].rate)).toFixed(2)
  const took = kind => {
    const times = results[kind].flatMap(result => result.times).sort((a, b) => a - b)
    return `${times[times.length >> 1].toFixed(2)} ms (99 of 100 within ${times[Math.floor(times.length * 0.99)].toFixed(2)})`
  }
  say(`${method}, ${perSecond} calls a second`, `${rate('ours')} of the pace without hooks is kept, with fetch ${rate('fetch')}; wanted 0.95`)
  say(`${method}, ${perSecond} calls a second: one takes`, `${took('ours')}, without hooks ${took('none')}, with fetch ${took('fetch')}`)
}

let url
const received = async () => Number(await (await fetch(url)).text())

const sink = start(null, ['0'], { command: join(root, 'build', 'release', 'bench', 'bench_sink') })
const silent = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
try {
  await once(silent, 'listening')
  const [port] = await sink.waitFor(/^\d+$/)
  url = `http://127.0.0.1:${port}/`
  const never = `http://127.0.0.1:${silent.address().port}/`
  if (wanted('small')) report('acl.get', await compare([hook('acl.get', 'pre/post', url)], 'acl.get', {}, { requests: 2 }))
  if (wanted('paced')) await comparePaced([hook('acl.get', 'pre/post', url)], 'acl.get', 500)
  if (wanted('silent'))
    report('a silent target', await compare([hook('acl.get', 'pre/post', never)], 'acl.get', {}, { calls: Math.ceil(CALLS / 4), rounds: 5 }))
  if (wanted('big'))
    report(
      'results of 10 MB',
      await compare([hook('xo.getAllObjects', 'post', url)], 'xo.getAllObjects', { megabytes: 10 }, { calls: 10, inFlight: 2, rounds: 5, requests: 1 }),
      '; both spend it on writing the result as JSON'
    )
  if (wanted('brief'))
    report(
      'results of 10 MB that the hook does not send',
      await compare([hook('xo.getAllObjects', 'post', url, { advanced: { fields: ['method', 'userName', 'duration'] } })], 'xo.getAllObjects', { megabytes: 10 }, {
        calls: 10,
        inFlight: 2,
        rounds: 5,
        requests: 1,
      }),
      '; the one with fetch knows no `fields`'
    )
} finally {
  silent.close()
  await sink.stop('SIGKILL')
}
process.exit()

// The delivery program: what durability costs beside a bare libcurl loop, a backlog of a dead target, a silent target beside a fast one,
// many hooks, and idling. Figures are ratios of one run; options: --backlog N (1000000), --events N (50000).
import { execFileSync } from 'node:child_process'
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { parseArgs } from 'node:util'

import { program, root, run, start, until } from '../tests/lib/program.mjs'
import { hook } from '../tests/lib/serve.mjs'

const { values } = parseArgs({ options: { backlog: { type: 'string', default: '1000000' }, events: { type: 'string', default: '50000' } } })
const EVENTS = Number(values.events)
const BACKLOG = Number(values.backlog)
const CONCURRENCY = 16
const folder = mkdtempSync(join(tmpdir(), 'xo-hooks-bench-'))
const bare = join(root, 'build', 'release', 'bench', 'bench_bare_curl')
const sinkProgram = join(root, 'build', 'release', 'bench', 'bench_sink')

const say = (name, text) => console.log(`${name.padEnd(46)} ${text}`)
const ratio = n => n.toFixed(2)

function eventText(i, size = 300) {
  const text = JSON.stringify({ callId: `c${i}`, userName: 'admin@admin.net', method: 'vm.start', params: { id: '67aac198' }, timestamp: 1795457437249, duration: 2, result: true, type: 'post', pad: '' })
  return text.replace('"pad":""', `"pad":"${'x'.repeat(Math.max(0, size - text.length))}"`)
}

async function eventsFile(count) {
  const file = join(folder, `events-${count}.ndjson`)
  const out = createWriteStream(file)
  for (let i = 0; i < count; i++) if (!out.write(eventText(i) + '\n')) await once(out, 'drain')
  out.end()
  await once(out, 'finish')
  return file
}

async function sink(port = 0) {
  const process = start(null, [String(port)], { command: sinkProgram })
  const [actual] = await process.waitFor(/^\d+$/)
  const url = `http://127.0.0.1:${actual}/`
  return { process, port: Number(actual), url, count: async () => Number(await (await fetch(url)).text()), stop: () => process.stop('SIGKILL') }
}

let serves = 0
async function serve(hooks, { data = join(folder, `data-${++serves}`) } = {}) {
  const config = join(folder, `hooks-${++serves}.json`)
  writeFileSync(config, JSON.stringify({ hooks }))
  const process = start(null, ['serve', '--data', data, '--config', config, '--keep-bytes', '100G'])
  const begin = performance.now()
  await process.waitFor(/ serves, process /)
  return {
    data,
    process,
    startMs: performance.now() - begin,
    rssMiB: () => Number(readFileSync(`/proc/${process.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024,
    peakMiB: () => Number(readFileSync(`/proc/${process.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1]) / 1024,
    cpuS: () => {
      const fields = readFileSync(`/proc/${process.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    stats: async () => JSON.parse((await run(['stats', '--json', '--data', data])).stdout),
    stop: () => process.stop('SIGTERM'),
  }
}

async function send(s, file) {
  const begin = performance.now()
  const { status, stderr } = await run(['send', '--quiet', '--data', s.data, file], { limitMs: 600_000 })
  if (status !== 0) throw new Error(`send ended with ${status}: ${stderr}`)
  return (performance.now() - begin) / 1000
}

const bareRate = url => EVENTS / Number(execFileSync(bare, [url, String(EVENTS), String(CONCURRENCY), '300']))

// ---- durable deliveries a second ----

async function rate() {
  const file = await eventsFile(EVENTS)
  const target = await sink()
  const loops = []
  const ours = []
  for (let round = 0; round < 3; round++) {
    loops.push(bareRate(target.url))
    const s = await serve([hook('*', 'post', target.url)])
    const before = await target.count()
    const begin = performance.now()
    await send(s, file)
    await until('all are delivered', async () => (await target.count()) - before >= EVENTS, 120_000)
    ours.push(EVENTS / ((performance.now() - begin) / 1000))
    await s.stop()
  }
  const median = list => [...list].sort((a, b) => a - b)[list.length >> 1]
  say(`durable deliveries of ${EVENTS} events of 300 bytes`, `${median(ours).toFixed(0)}/s, ${ratio(median(ours) / median(loops))} of a bare libcurl loop (${median(loops).toFixed(0)}/s); wanted 0.7`)
  await target.stop()
  return median(ours)
}

// ---- a backlog ----

async function backlog(normalRate) {
  const file = await eventsFile(BACKLOG)
  const target = await sink()
  const { port } = target
  await target.stop()
  const small = await eventsFile(EVENTS)
  const s = await serve([hook('*', 'post', `http://127.0.0.1:${port}/`)])
  const first = EVENTS / (await send(s, small))
  const all = BACKLOG / (await send(s, file))
  const last = EVENTS / (await send(s, small))
  say(`intake with ${BACKLOG} waiting for a dead target`, `${last.toFixed(0)}/s, ${ratio(last / first)} of that with an empty outbox (${first.toFixed(0)}/s; on the way ${all.toFixed(0)}/s); wanted 0.8`)
  say('resident with that backlog', `${s.rssMiB().toFixed(0)} MiB, at most ${s.peakMiB().toFixed(0)} MiB; wanted 64`)
  await s.process.stop('SIGKILL')
  const again = await serve([hook('*', 'post', `http://127.0.0.1:${port}/`)], { data: s.data })
  say('start with that backlog (after kill -9)', `${again.startMs.toFixed(0)} ms; wanted 1000`)
  const back = await sink(port)
  await until('it is noticed', async () => (await back.count()) > 1000, 120_000)
  const from = await back.count()
  const begin = performance.now()
  await until('it is drained', async () => (await back.count()) >= BACKLOG + 2 * EVENTS, 600_000)
  const drain = ((await back.count()) - from) / ((performance.now() - begin) / 1000)
  say('drained', `${drain.toFixed(0)}/s, ${ratio(drain / normalRate)} of the normal rate; wanted 0.7. At most ${again.peakMiB().toFixed(0)} MiB`)
  await again.stop()
  await back.stop()
}

// ---- a silent target beside a fast one ----

async function latencies(hooks, url) {
  const s = await serve(hooks)
  const { createServer: http } = await import('node:http')
  const took = []
  const sent = new Map()
  const server = http((req, res) => {
    let body = ''
    req.on('data', chunk => (body += chunk)).on('end', () => {
      took.push(performance.now() - sent.get(JSON.parse(body).callId))
      res.end()
    })
  })
  await new Promise(resolve => server.listen(Number(new URL(url).port), '127.0.0.1', resolve))
  const { Source } = await import('../tests/lib/serve.mjs')
  const source = new Source(join(s.data, 'xo-hooks.sock'))
  await source.open()
  const count = 3000
  for (let i = 0; i < count; i++) {
    sent.set(`c${i}`, performance.now())
    source.raw(`{"event":${eventText(i)}}\n`)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  await until('all have arrived', () => took.length >= count, 60_000)
  source.close()
  await s.process.stop('SIGKILL')
  server.closeAllConnections()
  server.close()
  took.sort((a, b) => a - b)
  return { p50: took[count >> 1], p99: took[Math.floor(count * 0.99)] }
}

async function neighbours() {
  const silent = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const fast = hook('*', 'post', `http://127.0.0.1:${probe.address().port}/`)
  await new Promise(resolve => probe.close(resolve))
  const alone = await latencies([fast], fast.url)
  const beside = await latencies([hook('*', 'post', `http://127.0.0.1:${silent.address().port}/`), fast], fast.url)
  say('99th percentile beside a target that never answers', `${beside.p99.toFixed(2)} ms, ${ratio(beside.p99 / alone.p99)} of alone (${alone.p99.toFixed(2)} ms); wanted 1.5 at most`)
  silent.close()
}

// ---- many hooks ----

async function manyHooks() {
  const target = await sink()
  const file = await eventsFile(EVENTS)
  const cost = async count => {
    const hooks = [hook('vm.start', 'post', target.url)]
    for (let i = 1; i < count; i++) hooks.push(hook(`vm.other${i}`, 'post', target.url))
    const s = await serve(hooks)
    const before = await target.count()
    const cpu = s.cpuS()
    await send(s, file)
    await until('all are delivered', async () => (await target.count()) - before >= EVENTS, 120_000)
    const spent = s.cpuS() - cpu
    await s.stop()
    return (spent / EVENTS) * 1e6
  }
  const few = await cost(10)
  const many = await cost(10_000)
  say('CPU time of an event with 10,000 hooks', `${many.toFixed(0)} µs, ${ratio(many / few)} of that with 10 (${few.toFixed(0)} µs); wanted 1.2 at most`)
  await target.stop()
}

// ---- idle ----

async function idle() {
  const s = await serve([hook('*', 'post', 'http://127.0.0.1:9/')])
  await new Promise(resolve => setTimeout(resolve, 1000))
  const before = s.process.wakeUps()
  await new Promise(resolve => setTimeout(resolve, 10_000))
  say('idle for 10 s', `${s.process.wakeUps() - before} wake-ups; wanted 0. ${s.rssMiB().toFixed(1)} MiB resident; wanted 12`)
  await s.stop()
}

try {
  const normal = await rate()
  await manyHooks()
  await neighbours()
  await idle()
  await backlog(normal)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

// Everything at once: sources that send, targets that misbehave, a program that is killed, reconfigured and left without disk. At the end each
// acknowledged event must have arrived, or the outbox must say why not.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

import { program, start, tempFolder, until } from './program.mjs'
import { Random } from './random.mjs'
import { hook, Serve } from './serve.mjs'
import { SoakSource } from './soak-sources.mjs'
import { SoakTarget } from './soak-targets.mjs'

const TURN_MS = 25
const STORM_MORE_MS = 120_000
const HOOK_TIMEOUT_S = 1
const SECRETS = ['first secret of the soak test', 'second secret of the soak test']
const LONG = [0, 0.2, 0.3, 0.5, 1, 1, 2, 2, 3, 3, 5, 5, 5, 5, 5, 5, 10, 10, 10, 10]
const PROBLEMS_SHOWN = 20

export class Soak {
  problems = []
  hashes = new Map() // "callId type" → hash of the event's bytes
  counts = { kills: 0, stops: 0, hangups: 0, badConfigurations: 0, fullDisks: 0, commands: 0, outages: 0 }
  cleanups = []
  revision = 0
  residentMax = 0
  slowestStatsMs = 0

  constructor({ seconds, seed, preset = 'release', pairs = 1, acknowledgedMin = 0, log = () => {} }) {
    Object.assign(this, { seconds, seed, preset, pairs, acknowledgedMin, log, random: new Random(seed) })
  }

  problem = text => {
    if (this.problems.length < PROBLEMS_SHOWN) this.log(`PROBLEM: ${text}`)
    this.problems.push(text)
  }

  after = clean => this.cleanups.push(clean)

  async run() {
    try {
      await this.#open()
      await this.#storm()
      await this.#calm()
      return await this.#judge()
    } catch (error) {
      this.problem(`${error.stack}\n${this.serve?.process?.stderr.slice(-40).join('\n') ?? ''}`)
      return { seed: this.seed, preset: this.preset, problems: this.problems, folder: this.folder }
    } finally {
      for (const clean of this.cleanups.reverse()) await clean()
    }
  }

  // ---- the parts ----

  async #open() {
    const known = key => this.hashes.get(key)
    const make = (name, more) =>
      new SoakTarget({ name, random: new Random(this.seed + name.length), known, secrets: () => SECRETS, problem: this.problem, ...more }).open()
    this.targets = {}
    for (const name of ['good', 'flaky', 'failing', 'silent', 'leaving', 'moody']) this.targets[name] = await make(name)
    this.targets.chat = await make('chat', { isJson: false })
    for (const target of Object.values(this.targets)) this.after(() => target.close())
    for (const name of ['flaky', 'failing']) this.targets[name].become(name)
    this.targets.chat.become('flaky')
    this.folder = tempFolder(undefined, 'xo-hooks-soak-')
    this.after(() => this.problems.length || execFileSync('rm', ['-rf', this.folder]))
    this.#mount()
    this.serve = new Serve({ after: this.after }, this.#fileHooks(), { folder: this.folder })
    await this.#start()
    this.sources = Object.entries(this.#slots()).map(
      ([name, slots], index) =>
        new SoakSource({
          name,
          path: this.serve.socket,
          random: new Random(this.seed * 31 + index),
          hooks: () => slots.map(([target, type, more]) => this.#hook(target, type, more)),
          hashes: this.hashes,
          problem: this.problem,
          waitMs: HOOK_TIMEOUT_S * 1000 + 20_000, // a loaded machine is slow, not wrong
        })
    )
    for (const source of this.sources) this.after(() => source.close())
  }

  // Which hooks each source has, whatever else changes: [target, type, more].
  #slots() {
    return {
      paris: [['good', 'pre/post', { waitForResponse: true }], ['flaky', 'pre/post'], ['moody', 'post']],
      rome: [['good', 'pre/post'], ['flaky', 'post', { waitForResponse: true }], ['failing', 'post'], ['silent', 'pre'], ['chat', 'post']],
      oslo: [['moody', 'pre/post', { waitForResponse: true }], ['leaving', 'post'], ['silent', 'post']],
    }
  }

  #hook(target, type, more = {}) {
    const schedule = target === 'failing' ? [0, 0.1, 0.2] : LONG
    const format = target === 'chat' ? 'slack' : 'json'
    const advanced = { timeout: HOOK_TIMEOUT_S, passphrase: SECRETS[this.revision % 2], retry: { schedule } }
    if (this.revision % 3 === 0) advanced.previousPassphrase = SECRETS[(this.revision + 1) % 2]
    return { ...hook('*', type, this.targets[target].url, more), format, advanced }
  }

  #fileHooks() {
    return [hook('nobody.calls', 'post', `http://127.0.0.1:9/${this.revision}`)]
  }

  // As root the outbox lives on a small file system of its own, which can be made full; otherwise it is a limit on the size of files.
  #mount() {
    const data = join(this.folder, 'data')
    execFileSync('mkdir', ['-m', '700', data])
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2g,mode=700', 'tmpfs', data], { stdio: 'ignore' })
      this.mounted = data
      this.after(() => {
        if (this.problems.length) execFileSync('cp', ['-a', data, join(this.folder, 'kept')])
        execFileSync('umount', ['-l', data])
      })
    } catch {
      this.log('no file system of its own (that needs root): a full disk is played with a limit on the size of files')
    }
  }

  async #start() {
    const { serve } = this
    const script = 'ulimit -S -f unlimited; trap "" XFSZ; exec "$@"'
    serve.process = start(null, ['-c', script, 'sh', program(this.preset), 'serve', '--data', serve.data, '--config', serve.config], {
      command: 'bash',
      env: { ASAN_OPTIONS: 'detect_leaks=1', TSAN_OPTIONS: 'halt_on_error=0', UBSAN_OPTIONS: 'print_stacktrace=1' },
    })
    const { process } = serve
    this.expected = undefined
    process.exit.then(ended => {
      if (this.expected !== process) this.problem(`the program ended by itself (${JSON.stringify(ended)}):\n${process.stderr.slice(-40).join('\n')}`)
    })
    this.after(() => {
      this.expected = process
      return process.stop('SIGKILL')
    })
    await process.waitFor(/ serves, process /, { limitMs: 60_000 })
  }

  async #end(signal) {
    const { process } = this.serve
    this.expected = process
    const { code } = await process.stop(signal, 60_000)
    if (signal === 'SIGTERM' && code !== 0) this.problem(`SIGTERM ended with status ${code}:\n${process.stderr.slice(-60).join('\n')}`)
    const bad = process.stderr.filter(line => /Sanitizer|runtime error:/.test(line))
    if (bad.length) this.problem(`a sanitizer spoke:\n${process.stderr.slice(process.stderr.indexOf(bad[0])).slice(0, 80).join('\n')}`)
    for (const source of this.sources) source.close()
  }

  // ---- the storm ----

  async #storm() {
    const end = Date.now() + this.seconds * 1000
    let over = false
    const traffic = this.#traffic(() => over)
    try {
      for (const source of this.sources) await source.connect()
      // every kind once, then as chance has it
      const kinds = ['kill', 'hangup', 'command', 'habit', 'full', 'stop', 'outage', 'mistake']
      const limit = end + STORM_MORE_MS // a slow machine gets more time to make a storm worth the name
      const isOver = () => Date.now() > limit || (Date.now() > end && this.#acknowledged() >= this.acknowledgedMin)
      while (!isOver() && this.problems.length < PROBLEMS_SHOWN) {
        const kind = kinds.shift() ?? this.random.weighed({ kill: 5, stop: 2, hangup: 4, mistake: 1, habit: 6, outage: 3, full: 1, command: 6 })
        await this.#disturb(kind)
        await new Promise(resolve => setTimeout(resolve, this.random.int(50, this.seconds < 60 ? 600 : 3000)))
      }
    } finally {
      over = true // also when a disturbance failed: its traffic would go on for ever
    }
    await traffic
  }

  #acknowledged() {
    return this.sources.reduce((total, { acknowledged }) => total + acknowledged.size, 0)
  }

  // The sources' turns, whatever happens to the program.
  async #traffic(isOver) {
    while (!isOver()) {
      for (const source of this.sources) {
        if (!source.connection) await source.connect()
        source.turn(this.random.int(0, 2 * this.pairs))
      }
      await new Promise(resolve => setTimeout(resolve, TURN_MS))
    }
  }

  async #disturb(kind) {
    const { serve, counts, random } = this
    switch (kind) {
      case 'kill':
        counts.kills++
        await this.#end('SIGKILL')
        return this.#start()
      case 'stop':
        counts.stops++
        await this.#end('SIGTERM')
        return this.#start()
      case 'hangup': {
        counts.hangups++
        this.revision++
        serve.write(this.#fileHooks())
        const before = serve.process.stderr.length
        serve.process.proc.kill('SIGHUP')
        await serve.process.waitFor(/ 1 hook$/, { from: before })
        for (const source of this.sources) source.configure()
        return
      }
      case 'mistake': {
        counts.badConfigurations++
        serve.write([{ method: 1 }])
        const before = serve.process.stderr.length
        serve.process.proc.kill('SIGHUP')
        await serve.process.waitFor(/refused, the old one stays/, { from: before })
        return serve.write(this.#fileHooks())
      }
      case 'habit':
        this.targets.silent.become(random.pick(['silent', 'good', 'flaky']))
        this.targets.leaving.become(random.pick(['leaving', 'good', 'good']))
        return this.targets.moody.become(random.pick(['flaky', 'good']))
      case 'outage':
        counts.outages++
        return this.targets.moody.isOpen ? this.targets.moody.close() : this.targets.moody.open()
      case 'full':
        counts.fullDisks++
        return this.#fill()
      case 'command':
        return this.#command()
    }
  }

  async #stats() {
    const begin = Date.now()
    const stats = await this.serve.json('stats')
    this.slowestStatsMs = Math.max(this.slowestStatsMs, Date.now() - begin)
    this.residentMax = Math.max(this.residentMax, stats.memory.residentBytes)
    return stats
  }

  async #fill() {
    const limit = size => (this.mounted ? execFileSync('mount', ['-o', `remount,size=${size}`, this.mounted], { stdio: 'ignore' }) : execFileSync('prlimit', ['--pid', String(this.serve.process.pid), `--fsize=${size}:`]))
    const blocks = () => Number(execFileSync('df', ['--output=used', '-B4096', this.mounted]).toString().split('\n')[1])
    if (this.mounted) limit((await until('a limit that fits', () => this.#tryLimit(limit, (blocks() + 2) * 4096))) ?? '2g')
    else limit(200_000)
    // with a database that has room inside, or when nothing is sent, it may take everything for a while
    for (let i = 0; i < 60 && (await this.#stats()).store.durable; i++) await new Promise(resolve => setTimeout(resolve, 50))
    await new Promise(resolve => setTimeout(resolve, this.random.int(0, 1000)))
    limit(this.mounted ? '2g' : 'unlimited')
    await until('the disk is written again', async () => (await this.#stats()).store.durable, 60_000)
  }

  // What is used may grow between the look and the limit.
  #tryLimit(limit, bytes) {
    try {
      limit(bytes)
      return bytes
    } catch {
      return undefined
    }
  }

  async #command() {
    this.counts.commands++
    const arguments_ = this.random.pick([
      ['stats'],
      ['log', '-n', '200'],
      ['log', '--json', '--status', 'dead'],
      ['log', '--method', 'vm.*', '--since', '1m'],
      ['retry', '--dead'],
      ['prune'],
    ])
    const { status, stderr } = await this.serve.command(...arguments_)
    if (status !== 0) this.problem(`xo-hooks ${arguments_.join(' ')} ended with ${status}: ${stderr}`)
    await this.#stats()
  }

  // ---- the calm ----

  async #calm() {
    for (const target of Object.values(this.targets)) await target.heal()
    await this.#end('SIGTERM') // those held are probed at once after it
    await this.#start()
    await until('all sources are connected', async () => {
      for (const source of this.sources) if (!source.connection) await source.connect()
      return this.sources.every(({ connection }) => connection)
    })
    await until('everything is acknowledged', () => {
      for (const source of this.sources) source.read()
      return this.sources.every(({ unacknowledged }) => unacknowledged.size === 0)
    }).catch(error => this.problem(`${error.message}: ${this.sources.map(({ name, unacknowledged }) => `${name} ${unacknowledged.size}`)}`))
    await this.#drained('after the storm')
    this.deadAfterStorm = await this.#deliveries({ status: 'dead' })
    for (const { id } of this.deadAfterStorm.slice(0, 50)) await this.#explained(id)
    const { status, stderr } = await this.serve.command('retry', '--dead')
    if (status !== 0) this.problem(`xo-hooks retry --dead ended with ${status}: ${stderr}`)
    await this.#drained('after the dead ones were sent again')
  }

  async #explained(id) {
    const shown = await this.serve.json('show', id)
    if (!shown.reason && !shown.lastError) this.problem(`${id} is dead and nothing says why: ${JSON.stringify(shown)}`)
  }

  async #drained(when) {
    const isDrained = ({ deliveries, store }) => deliveries.pending === 0 && store.memoryBytes === 0 // and the outcomes are written
    await until(`nothing is pending ${when}`, async () => isDrained(await this.#stats()), 120_000).catch(async error => {
      const left = await this.#deliveries({ status: ['queued', 'sending', 'waiting', 'held'] })
      this.problem(`${error.message}: ${left.length} left, the first: ${JSON.stringify(left.slice(0, 5))}\n${JSON.stringify(await this.#stats())}`)
    })
    const { targets } = await this.#stats()
    const left = await this.#deliveries({ status: ['queued', 'sending', 'waiting', 'held'] })
    if (left.length || targets.some(({ pending }) => pending !== 0))
      this.problem(`"pending" is 0 ${when}, the outbox holds ${left.length} more, the first: ${JSON.stringify(left[0])}\n${JSON.stringify(targets)}`)
  }

  async #deliveries(params = {}) {
    const source = await this.serve.source()
    const found = []
    const limitMs = 120_000 // with a sanitizer, on a loaded machine
    let before
    do {
      const page = await source.call('deliveries', { ...params, limit: 1000, before }, limitMs)
      found.push(...page.deliveries)
      before = page.next ?? undefined
      source.lines.splice(0)
    } while (before)
    source.close()
    return found
  }

  // ---- the verdict ----

  async #judge() {
    const deliveries = await this.#deliveries()
    const byKey = new Map()
    for (const delivery of deliveries) {
      const key = `${delivery.source} ${delivery.callId} ${delivery.type} ${delivery.url}`
      if (byKey.has(key)) this.problem(`two deliveries of ${key}: ${byKey.get(key).id} and ${delivery.id}`)
      byKey.set(key, delivery)
    }
    let expected = 0
    for (const source of this.sources) {
      const slots = this.#slots()[source.name]
      for (const key of source.acknowledged)
        for (const [name, type] of slots)
          if (type.includes(key.split(' ')[1])) {
            expected++
            this.#judgeOne(source, key, this.targets[name], byKey)
          }
      for (const [key, error] of source.refused) this.problem(`${source.name}: ${key} was refused: ${JSON.stringify(error)}`)
    }
    await this.#judgeOrder(byKey)
    await this.#end('SIGTERM')
    return this.#report(deliveries, expected)
  }

  #judgeOne(source, key, target, byKey) {
    const delivery = byKey.get(`${source.name} ${key} ${target.url}`)
    if (!delivery) return this.problem(`${source.name}: ${key} was acknowledged and the outbox has no delivery to ${target.name}`)
    const took = target.taken.get(delivery.id)
    if (delivery.status === 'delivered' && !took) this.problem(`${delivery.id} (${key}) counts as delivered, ${target.name} never took it`)
    if (delivery.status !== 'delivered') this.problem(`${delivery.id} (${key}) is ${delivery.status} at the end: ${JSON.stringify(delivery)}`)
    const seen = target.ids.get(delivery.id)
    if (took && seen.key && seen.key !== key) this.problem(`${delivery.id} is ${key} in the outbox and ${seen.key} at ${target.name}`)
  }

  // A post event is not sent before the first attempt of its pre event. That may have failed before it arrived, on a loaded machine: then the
  // moments of the attempts tell.
  async #judgeOrder(byKey) {
    const { first, url } = this.targets.good
    for (const [key, at] of first) {
      const pre = key.replace(/ post$/, ' pre')
      if (pre === key || first.get(pre) < at) continue
      const source = key.split('-')[0]
      const [before, after] = await Promise.all([pre, key].map(one => this.serve.json('show', byKey.get(`${source} ${one} ${url}`).id)))
      if (!(before.attempts[0].startedAt <= after.attempts[0].startedAt))
        this.problem(`good: ${key} came before its pre event:\n${JSON.stringify(before)}\n${JSON.stringify(after)}`)
    }
  }

  #report(deliveries, expected) {
    const sum = (list, value) => list.reduce((total, one) => total + value(one), 0)
    const targets = Object.values(this.targets)
    return {
      seed: this.seed,
      preset: this.preset,
      seconds: this.seconds,
      events: sum(this.sources, ({ sent }) => sent),
      acknowledged: this.#acknowledged(),
      settled: sum(this.sources, ({ settled }) => settled),
      deliveries: deliveries.length,
      expected,
      requests: sum(targets, ({ requests }) => requests),
      sentMoreThanOnce: sum(targets, ({ taken }) => sum([...taken.values()], n => n - 1)),
      deadAfterTheStorm: this.deadAfterStorm.length,
      slowestStatsMs: this.slowestStatsMs,
      residentMiB: Math.round(this.residentMax / 2 ** 20),
      ...this.counts,
      answers: Object.fromEntries(targets.map(({ name, answers }) => [name, answers])),
      problems: this.problems,
      folder: this.problems.length ? this.folder : undefined,
    }
  }
}

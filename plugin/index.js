'use strict'

// The web-hooks plugin of xo-server: listens to the host's events and hands those of hooked methods to the xo-hooks program,
// which does the work in a process of its own. What runs in the host's event loop is here and in lib/, and is kept small.

const { hostname } = require('node:os')
const { randomBytes } = require('node:crypto')

const { apiMethods } = require('./lib/api.js')
const { Backlog } = require('./lib/backlog.js')
const { BackupPairs } = require('./lib/backup-pairs.js')
const { assertHooks, checkConfiguration, findProgram, hookName, mistakesError, usablePart } = require('./lib/program.js')
const { Link } = require('./lib/link.js')
const { makeLog, Seldom } = require('./lib/log.js')
const { formSchema } = require('./lib/schema.js')
const { hideSecrets, restoreSecrets } = require('./lib/secrets.js')
const { settingsOf } = require('./lib/settings.js')
const { openChild, openSocket } = require('./lib/transport.js')
const { DEFAULT_TIMEOUT_S, SUCCESS, FAILURE, Table } = require('./lib/table.js')

const ID = 'web-hooks'
const DRAIN_MS = 5000 // how long unloading waits for the program's word on the last events
const STOP_MS = 3000 // the same when the host stops
const TEST_SLACK_MS = 5000
const TIMER_MS_MAX = 2 ** 31 - 1
const LINES_TOLD = 20 // in the log, of one configuration
const ENVELOPE_BYTES = 100 // at most, around an event's JSON

const UNKNOWN_SECRET =
  'enter this secret anew: so much has changed at once that it is not known which of the hidden ones it is (or make one change at a time).' +
  ' If it was entered, and is the same as a hidden one: save the hook without it first, then with it'

// What the form's schema, a function of its own to the host, needs of the instance.
const configurations = new WeakMap() // xo → () => the present configuration

// A name as the protocol wants it.
const sourceName = name => name.replace(/[^\w.@-]/g, '-').slice(0, 64)

// What was thrown can be anything.
const reasonOf = error => String(error?.message ?? error)

// Writing a result of 10 MB as JSON holds the host up for 50 ms.
function withoutLargeResult(data) {
  if (typeof data.result !== 'object') return data
  const { result, ...rest } = data
  return rest
}

// The text's length says it, but for one near the limit.
const isLonger = (text, bytes) => text.length * 3 > bytes && Buffer.byteLength(text) > bytes

class WebHooks {
  #xo
  #log
  #program
  #backlog
  #link
  #pairs
  #seldom
  #table = new Table()
  #configuration
  #usable // the same without hooks that can't be used, which are in #leftOut
  #leftOut = []
  #savingAgain // the text of what #saveAgain has the host save
  #waiting = new Map() // number of an event → ends the call's waiting for it
  #counters = { sent: 0, dropped: 0, unserializable: 0 }
  #removeApiMethods

  constructor({ xo, staticConfig = {}, getDataDir }) {
    const { binary, memoryCapBytes, socket, source } = settingsOf(staticConfig)
    this.#xo = xo
    this.#log = makeLog()
    this.#seldom = new Seldom(this.#log)
    this.#pairs = new BackupPairs(xo)
    this.#program = findProgram(binary)
    this.#backlog = new Backlog(memoryCapBytes)
    this.getDataDir = getDataDir
    this.socket = socket
    // Sources that share a program are told apart by this name; alone, a name that outlives a change of the host's is better.
    this.source = sourceName(source ?? (socket === undefined ? 'xo' : hostname()))
    configurations.set(xo, () => this.#configuration)
  }

  // ---- what the host calls ----

  async configure(given) {
    assertHooks(given)
    if (this.#savingAgain !== undefined && JSON.stringify(given) === this.#savingAgain) return // it is the present one
    const { restored, unknown } = restoreSecrets(given, this.#configuration)
    const configuration = hideSecrets(restored ?? given)
    let result
    try {
      if (unknown.length > 0) throw Object.assign(new Error(), { mistakes: unknown.map(pointer => ({ pointer, message: UNKNOWN_SECRET })) })
      result = await this.#apply(configuration)
    } catch (error) {
      this.#table = new Table(this.#usable)
      throw error.mistakes === undefined ? error : mistakesError(error.mistakes, configuration, error.more)
    }
    this.#configuration = configuration
    this.#usable = result.usable
    this.#leftOut = result.leftOut
    this.#table = new Table(result.usable)
    this.#tellLeftOut()
    if (configuration !== given) setImmediate(() => this.#saveAgain(configuration))
  }

  // Throws unless the configuration is good. Events of before keep the hooks of before, also when the program is not there yet.
  async #apply(configuration) {
    let judged = { usable: configuration, leftOut: [] }
    if (!this.#link?.ready) {
      if (this.#isSavedOne) judged = await usablePart(this.#program, configuration)
      else this.#warn(await checkConfiguration(this.#program, configuration))
    }
    const link = this.#link // it may have been made, or become ready, meanwhile
    if (link === undefined) return judged
    // until the program has answered, an event may be for its old hooks or for its new ones, which are not known to be good yet
    this.#table = new Table(this.#usable, { everyResult: true })
    const { warnings } = await link.configure(judged.usable)
    this.#warn(warnings)
    return judged
  }

  // Does the host start with what it has saved? Only an administrator can correct what is wrong with it, and that needs a call.
  get #isSavedOne() {
    return this.#configuration === undefined && this.#xo.apiContext === undefined
  }

  #warn(warnings = []) {
    for (const { pointer, message } of warnings.slice(0, LINES_TOLD)) this.#log.warn(`configuration: ${pointer}: ${message}`)
  }

  #tellLeftOut() {
    const left = this.#leftOut
    for (const { hook, why } of left.slice(0, LINES_TOLD))
      this.#log.warn(`${hookName(hook - 1, this.#configuration)} is left out, nothing is sent for it until it is corrected: ${why}`)
    if (left.length > LINES_TOLD) this.#log.warn(`and ${left.length - LINES_TOLD} more hooks are left out (see webHooks.getStats)`)
  }

  // The host saves what it gave to configure(), after that: with secrets at the hooks that are now where theirs were, or under a name that
  // it does not hide.
  async #saveAgain(configuration) {
    if (configuration !== this.#configuration) return
    this.#savingAgain = JSON.stringify(configuration)
    try {
      await this.#xo.configurePlugin(ID, configuration)
    } catch (error) {
      this.#log.error(`the secrets of hooks that have moved, or of a "previousPassphrase", are not saved, enter them anew: ${error.message}`)
    }
    this.#savingAgain = undefined
  }

  async load() {
    const xo = this.#xo
    const link = (this.#link ??= await this.#makeLink())
    this.#removeApiMethods = xo.addApiMethods({
      webHooks: apiMethods({ call: (name, params) => link.call(name, params), stats: () => this.#stats() }),
    })
    link.start()
    for (const [event, listener] of this.#listeners) xo.on(event, listener)
    xo.hooks?.on('stop', this.#onStop)
  }

  async #makeLink() {
    const open = await this.#transport()
    this.#backlog.configuration = this.#usable
    return new Link({
      open,
      source: this.source,
      session: randomBytes(9).toString('hex'),
      backlog: this.#backlog,
      log: this.#log,
      seldom: this.#seldom,
      onSettled: id => this.#waiting.get(id)?.(),
      onLost: () => this.#waiting.forEach(done => done()),
    })
  }

  async unload() {
    const xo = this.#xo
    for (const [event, listener] of this.#listeners) xo.removeListener(event, listener)
    xo.hooks?.removeListener('stop', this.#onStop)
    this.#removeApiMethods()
    await this.#link.stop(DRAIN_MS)
    this.#sayWaiting('wait in memory until the plugin is loaded again')
  }

  async test() {
    // the program tests some at a time; one after the other would be the longest that it can take
    const timeouts = this.#usable.hooks.filter(({ enabled }) => enabled !== false).map(({ advanced }) => advanced?.timeout ?? DEFAULT_TIMEOUT_S)
    const limitMs = timeouts.reduce((sum, timeout) => sum + timeout * 1e3, TEST_SLACK_MS)
    const { results } = await this.#link.call('test', {}, Math.min(limitMs, TIMER_MS_MAX))
    const failed = results.filter(({ ok }) => !ok)
    const lines = failed.map(({ index, url, error, status }) => `${hookName(index, this.#usable)}, ${url}: ${error ?? `status ${status}`}`)
    for (const { hook, why } of this.#leftOut) lines.push(`${hookName(hook - 1, this.#configuration)}, left out: ${why}`)
    if (lines.length === 0) return
    throw new Error(`${lines.length} of ${results.length + this.#leftOut.length} failed:\n${lines.join('\n')}`)
  }

  // ---- the host's events ----

  #listeners = [
    ['xo:preCall', data => this.#onPre(data, false)],
    ['xo:postCall', data => this.#onPost(data, false)],
    ['backup:preCall', data => this.#onPre(data, true)],
    ['backup:postCall', data => this.#onPost(data, true)],
  ]

  // The host waits for what this returns.
  #onPre(data, isRun) {
    const hooked = this.#table.get(data.method)
    if (hooked.pre || hooked.post !== 0) return this.#forward('pre', data, isRun, hooked.pre, true, hooked.waitMs)
  }

  #onPost(data, isRun) {
    const { pre, post, result } = this.#table.get(data.method)
    if (pre || post !== 0)
      this.#forward('post', data, isRun, (post & (data.error === undefined ? SUCCESS : FAILURE)) !== 0, result, 0)
  }

  #forward(type, data, isRun, wanted, sendsResult, waitMs) {
    if (data.method === 'backupNg.runJob') {
      const pairs = this.#pairs
      if (isRun ? pairs.runIsDuplicate(type) : pairs.callIsDuplicate(type)) return
    }
    if (!wanted) return
    const json = this.#textOf(data, sendsResult)
    if (json === undefined) return
    const link = this.#link
    if (isLonger(json, link.lineBytes - ENVELOPE_BYTES)) return this.#tooLong(data, json)
    const wait = waitMs !== 0 && link.ready
    const id = ++link.lastId
    // `type` is put in here: a copy of `data` that has it costs more than writing all of it
    const head = `{"id":${id},${wait ? '"wait":true,' : ''}"event":`
    const taken = this.#backlog.add(id, head, json.slice(0, -1), `,"type":"${type}"}}\n`)
    if (!taken) return this.#doesNotFit(data, json)
    this.#counters.sent++
    link.kick(wait)
    if (wait) return this.#answered(id, waitMs)
  }

  #textOf(data, sendsResult) {
    try {
      return JSON.stringify(sendsResult ? data : withoutLargeResult(data))
    } catch (error) {
      return this.#withoutResult(data, reasonOf(error))
    }
  }

  // An event that can't be written as JSON: all of it but the result, or nothing when it is not for that.
  #withoutResult({ result, ...rest }, reason) {
    try {
      const json = JSON.stringify(rest)
      this.#seldom.warn('result', `an event of ${rest.method} is sent without its result, which can't be written as JSON: ${reason}`)
      return json
    } catch (error) {
      this.#counters.unserializable++
      this.#seldom.warn('unserializable', `an event of ${rest.method} is not sent: it can't be written as JSON: ${reasonOf(error)}`)
    }
  }

  // The hooks' own time limit is counted here as well, so that a call is released in time whatever the program does.
  #answered(id, waitMs) {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve()
      }
      const timer = setTimeout(done, waitMs)
      this.#waiting.set(id, done)
    })
  }

  #doesNotFit({ method }, json) {
    const mib = this.#backlog.capBytes / 1048576
    this.#dropped(
      'memory',
      `an event of ${method} (${json.length} bytes) was dropped: at most ${mib} MiB of events wait for the delivery program` +
        ` (memoryCapMiB), and ${this.#backlog.count} are waiting`
    )
  }

  #tooLong({ method }, json) {
    const { lineBytes } = this.#link
    this.#dropped(
      'length',
      `an event of ${method} (${Buffer.byteLength(json)} bytes) was dropped: the delivery program takes at most ${lineBytes} (serve --line-cap)`
    )
  }

  #dropped(kind, message) {
    this.#counters.dropped++
    this.#seldom.warn(kind, message)
  }

  // ---- the rest ----

  async #transport() {
    if (this.socket !== undefined) return () => openSocket({ path: this.socket })
    const folder = await this.getDataDir()
    return () => openChild({ program: this.#program, folder, log: this.#log, seldom: this.#seldom })
  }

  #onStop = async () => {
    await this.#link.drained(STOP_MS)
    this.#sayWaiting('are lost unless it has read them')
  }

  #sayWaiting(what) {
    const { count } = this.#backlog
    if (count > 0) this.#log.warn(`${count} event${count === 1 ? '' : 's'} that the delivery program has not confirmed ${what}`)
    this.#seldom.flush()
  }

  async #stats() {
    const link = this.#link
    // what the plugin itself counts is told whatever the program does
    const stats = link.ready ? await link.call('stats', {}).catch(({ message: trouble }) => ({ trouble })) : {}
    const { count, bytes, capBytes } = this.#backlog
    const { ready: connected, connections, refused } = link
    const plugin = { connected, connections, source: this.source, ...this.#counters, refused, leftOut: this.#leftOut }
    return { ...stats, plugin: { ...plugin, waiting: { count, bytes, capBytes } } }
  }
}

module.exports = options => new WebHooks(options)
module.exports.configurationSchema = ({ xo }) => formSchema(xo, () => configurations.get(xo)?.())

'use strict'

// Which calls concern us at all: the only thing that runs for every API call of the host, so one Map look-up. What exactly a
// hook wants of an event (`when`, `fields`) is the delivery program's business; here is only what spares the host work: calls without a
// hook, and results, which can be of many megabytes, that no hook would look at.

const SUCCESS = 1
const FAILURE = 2

const DEFAULT_TIMEOUT_S = 10 // of hooks that don't say; the program has the same
const TERSE_FORMATS = ['slack', 'teams'] // they tell results that are a text or a number, and no others
const ONLY = { success: SUCCESS, failure: FAILURE }

// Methods come from the host's own table, so this is never reached; it bounds the cache whatever happens there.
const SEEN_MAX = 4096

function pattern(method) {
  const literal = part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${method.split('*').map(literal).join('.*')}$`, 's')
}

const isOfResult = property => property === 'result' || property.startsWith('result.')

// Does the hook need results that are objects or lists: to send them, or to decide whether it sends?
function needsResult({ format, advanced }) {
  const { fields, when } = advanced ?? {}
  if (when?.some(({ property }) => isOfResult(property))) return true
  return fields === undefined ? !TERSE_FORMATS.includes(format) : fields.some(isOfResult)
}

function add(entry, hook) {
  const { type, waitForResponse, advanced } = hook
  const pre = type !== 'post'
  const waitMs = pre && waitForResponse ? (advanced?.timeout ?? DEFAULT_TIMEOUT_S) * 1e3 : 0
  return {
    pre: entry.pre || pre,
    post: entry.post | (type === 'pre' ? 0 : (ONLY[advanced?.only] ?? SUCCESS | FAILURE)),
    result: entry.result || (type !== 'pre' && needsResult(hook)),
    waitMs: Math.max(entry.waitMs, waitMs),
  }
}

class Table {
  #hooks
  #nothing
  #seen = new Map()

  constructor({ hooks = [] } = {}, { everyResult = false } = {}) {
    this.#nothing = { pre: false, post: 0, result: everyResult, waitMs: 0 }
    this.#hooks = hooks
      .filter(({ enabled }) => enabled !== false)
      .map(hook => ({ hook, fits: hook.method.includes('*') ? pattern(hook.method) : undefined }))
  }

  // { pre, post, result, waitMs }: is the method hooked before the call, after it (bits SUCCESS and FAILURE), does a hook need what the
  // call returned, and how long may the call wait for answers.
  get(method) {
    return this.#seen.get(method) ?? this.#find(method)
  }

  #find(method) {
    let entry = this.#nothing
    for (const { hook, fits } of this.#hooks)
      if (fits === undefined ? hook.method === method : fits.test(method)) entry = add(entry, hook)
    if (this.#seen.size >= SEEN_MAX) this.#seen.clear()
    this.#seen.set(method, entry)
    return entry
  }
}

module.exports = { DEFAULT_TIMEOUT_S, SUCCESS, FAILURE, Table }

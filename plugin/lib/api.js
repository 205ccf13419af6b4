'use strict'

// The API methods for administrators (xo-cli, scripts): thin covers of the program's calls (docs/protocol.md, "Calls").

const UNITS_MS = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 }

// Epoch milliseconds of a number, of "1700000000000", of ISO 8601 or of an age such as "2h". xo-cli gives strings.
function timeOf(name, value) {
  if (value === undefined || typeof value === 'number') return value
  if (/^\d+$/.test(value)) return Number(value)
  const [, count, unit] = value.match(/^(\d+)([smhd])$/) ?? []
  const ms = unit === undefined ? Date.parse(value) : Date.now() - count * UNITS_MS[unit]
  if (Number.isNaN(ms)) throw new Error(`${name}: ${JSON.stringify(value)} is no time: give 2026-11-23T08:15Z, milliseconds, or an age such as 2h`)
  return ms
}

const list = value => (typeof value === 'string' ? value.split(',').map(item => item.trim()) : value)
const times = ({ since, until, ...params }) => ({ ...params, since: timeOf('since', since), until: timeOf('until', until) })

// A new object for each parameter: the host takes `optional` away while it reads one, so that a shared one is optional only once.
const time = () => ({ type: ['number', 'string'], optional: true })
const text = () => ({ type: 'string', optional: true })
const texts = () => ({ type: ['array', 'string'], items: { type: 'string' }, optional: true })

function method(description, params, run) {
  return Object.assign(run, { description, params, permission: 'admin' })
}

// `call(name, params)` asks the program; `stats()` gives the plugin's own counters.
function apiMethods({ call, stats }) {
  return {
    getDeliveries: method(
      'returns the deliveries of web hooks, newest first: { deliveries, next }; give next as before to get the following page',
      {
        status: texts(),
        method: text(),
        hook: text(),
        user: text(),
        since: time(),
        until: time(),
        limit: { type: ['integer', 'string'], pattern: '^[0-9]+$', optional: true },
        before: { type: ['integer', 'string'], optional: true },
      },
      ({ status, limit, ...params }) =>
        call('deliveries', { ...times(params), status: list(status), limit: limit === undefined ? undefined : Number(limit) })
    ),

    getDelivery: method(
      'returns one delivery of a web hook with its event, its body and every attempt',
      { id: { type: ['integer', 'string'] } },
      ({ id }) => call('delivery', { id })
    ),

    retryDeliveries: method(
      'sends deliveries of web hooks again: those with the given ids, or with dead=true all that were given up',
      { ids: texts(), dead: { type: 'boolean', optional: true }, hook: text(), since: time(), until: time() },
      ({ ids, ...params }) => call('retry', { ...times(params), ids: list(ids) })
    ),

    getStats: method('returns the counters of web hooks, the states of their targets, memory and disk', {}, stats),
  }
}

module.exports = { apiMethods }

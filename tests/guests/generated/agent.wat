;; An agent of every role, as small as one is that imports of WASI and of the contract what agents
;; do, and uses it: it makes a folder and a file, has the host observe the file, says a word.
;;
;; Two modules, because what the imports are lowered with must be there before them: `libc` has
;; the memory, `main` the code. Tests put other modules in the place of `main`.
(component
  (import "idumb:agent/types@0.1.0" (instance $types
    (type $param' (record (field "name" string) (field "value" string)))
    (export "param" (type $param (eq $param')))
    (type $step' (record (field "kind" string) (field "args" string)))
    (export "step" (type $step (eq $step')))
    (type $criterion' (record
      (field "id" string) (field "text" string) (field "kind" string) (field "args" string)))
    (export "criterion" (type $criterion (eq $criterion')))
    (type $task' (record
      (field "id" string) (field "title" string) (field "description" string)
      (field "reads" (list string)) (field "writes" (list string))
      (field "artifacts" (list string)) (field "steps" (list $step))
      (field "options" (list $param)) (field "accept" (list $criterion))))
    (export "task" (type $task (eq $task')))
    (type $link' (record
      (field "id" string) (field "from" string) (field "pattern" string) (field "to" string)
      (field "provides" (option string))))
    (export "link" (type $link (eq $link')))
    (type $artifact' (record (field "task" string) (field "path" string) (field "digest" string)))
    (export "artifact" (type $artifact (eq $artifact')))
    (type $verdict' (enum "pass" "fail" "inconclusive"))
    (export "verdict" (type $verdict (eq $verdict')))
    (type $finding' (record
      (field "criterion" string) (field "verdict" $verdict) (field "evidence" (list string))
      (field "note" string)))
    (export "finding" (type $finding (eq $finding')))
    (type $context' (record
      (field "run" string) (field "phase" string) (field "goal" string) (field "attempt" u32)
      (field "artifacts" (list $artifact)) (field "feedback" (list $finding))
      (field "extra" (list $param))))
    (export "context" (type $context (eq $context')))
    (type $completion' (enum "done" "already-done"))
    (export "completion" (type $completion (eq $completion')))
    (type $outcome' (record
      (field "status" $completion) (field "summary" string) (field "evidence" (list string))
      (field "artifacts" (list string))))
    (export "outcome" (type $outcome (eq $outcome')))
    (type $failure-kind'
      (enum "precondition" "denied" "unsupported" "invalid" "undecided" "other"))
    (export "failure-kind" (type $failure-kind (eq $failure-kind')))
    (type $failure' (record
      (field "kind" $failure-kind) (field "message" string) (field "step" (option u32))
      (field "retryable" bool)))
    (export "failure" (type $failure (eq $failure')))))
  (alias export $types "task" (type $task))
  (alias export $types "context" (type $context))
  (alias export $types "criterion" (type $criterion))
  (alias export $types "link" (type $link))
  (alias export $types "finding" (type $finding))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "failure" (type $failure))

  (import "idumb:agent/report@0.1.0" (instance $report
    (type $level' (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level')))
    (export "log" (func (param "level" $level) (param "message" string)))))

  (import "idumb:agent/evidence@0.1.0" (instance $evidence
    (type $kind' (enum "file" "dir" "symlink" "absent"))
    (export "kind" (type $kind (eq $kind')))
    (type $observation' (record
      (field "id" string) (field "kind" $kind) (field "digest" string) (field "size" u64)))
    (export "observation" (type $observation (eq $observation')))
    (export "observe" (func (param "path" string) (result (result $observation (error string)))))))

  (import "wasi:filesystem/types@0.2.0" (instance $files
    (export "descriptor" (type $descriptor (sub resource)))
    (type $error-code' (enum
      "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io"
      "is-directory" "loop" "too-many-links" "message-size" "name-too-long" "no-device"
      "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory"
      "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow"
      "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $error-code (eq $error-code')))
    (type $path-flags' (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (type $descriptor-flags' (flags
      "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
      "mutate-directory"))
    (export "descriptor-flags" (type $descriptor-flags (eq $descriptor-flags')))
    (export "[method]descriptor.create-directory-at" (func
      (param "self" (borrow $descriptor)) (param "path" string)
      (result (result (error $error-code)))))
    (export "[method]descriptor.unlink-file-at" (func
      (param "self" (borrow $descriptor)) (param "path" string)
      (result (result (error $error-code)))))
    (export "[method]descriptor.open-at" (func
      (param "self" (borrow $descriptor)) (param "path-flags" $path-flags) (param "path" string)
      (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
      (result (result (own $descriptor) (error $error-code)))))
    (export "[method]descriptor.write" (func
      (param "self" (borrow $descriptor)) (param "buffer" (list u8)) (param "offset" u64)
      (result (result u64 (error $error-code)))))))
  (alias export $files "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $descriptor (type $outer))
    (export "descriptor" (type $descriptor (eq $outer)))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))
  (import "wasi:random/insecure@0.2.0" (instance $random
    (export "get-insecure-random-u64" (func (result u64)))))

  (core module $libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
      (result i32)
      (local $place i32)
      (local.set $place (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $place) (local.get $new)))
      (if (i32.gt_u (global.get $next) (i32.shl (memory.size) (i32.const 16)))
        (then (drop (memory.grow
          (i32.add (i32.shr_u (local.get $new) (i32.const 16)) (i32.const 1))))))
      (memory.copy (local.get $place) (local.get $old) (local.get $size))
      (local.get $place)))
  (core instance $libc (instantiate $libc))

  (core func $log (canon lower (func $report "log") (memory $libc "memory")))
  (core func $observe (canon lower (func $evidence "observe")
    (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $directories (canon lower (func $preopens "get-directories")
    (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $create (canon lower (func $files "[method]descriptor.create-directory-at")
    (memory $libc "memory")))
  (core func $unlink (canon lower (func $files "[method]descriptor.unlink-file-at")
    (memory $libc "memory")))
  (core func $open (canon lower (func $files "[method]descriptor.open-at")
    (memory $libc "memory")))
  (core func $write (canon lower (func $files "[method]descriptor.write")
    (memory $libc "memory")))
  (core func $random (canon lower (func $random "get-insecure-random-u64")))
  (core func $drop (canon resource.drop $descriptor))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "host" "log" (func $log (param i32 i32 i32)))
    (import "host" "observe" (func $observe (param i32 i32 i32)))
    (import "host" "directories" (func $directories (param i32)))
    (import "host" "create" (func $create (param i32 i32 i32 i32)))
    (import "host" "unlink" (func $unlink (param i32 i32 i32 i32)))
    (import "host" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i64 i32)))
    (import "host" "random" (func $random (result i64)))
    (import "host" "drop" (func $drop (param i32)))
    (data (i32.const 16) "made/file")
    (data (i32.const 32) "It was made.")
    (func (export "build") (param i32) (result i32)
      (local $root i32)
      (call $directories (i32.const 2048))
      (local.set $root (i32.load (i32.load (i32.const 2048))))
      (call $create (local.get $root) (i32.const 16) (i32.const 4) (i32.const 2064))
      ;; With create, to read and to write.
      (call $open (local.get $root) (i32.const 0) (i32.const 16) (i32.const 9)
        (i32.const 1) (i32.const 3) (i32.const 2080))
      (if (i32.eqz (i32.load8_u (i32.const 2080)))
        (then
          (call $write (i32.load (i32.const 2084)) (i32.const 32) (i32.const 12) (i64.const 0)
            (i32.const 2096))
          (call $drop (i32.load (i32.const 2084)))))
      (call $observe (i32.const 16) (i32.const 9) (i32.const 2112))
      (call $log (i32.const 1) (i32.const 32) (i32.const 12))
      (drop (call $random))
      ;; The outcome: done, and a summary.
      (i32.store (i32.const 1032) (i32.const 32))
      (i32.store (i32.const 1036) (i32.const 12))
      (i32.const 1024))
    ;; No findings: what stands there is zero.
    (func (export "validate") (param i32) (result i32) (i32.const 1088))
    (func (export "verify")
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
      (call $observe (i32.const 16) (i32.const 9) (i32.const 2112))
      (i32.const 1088))
    (func (export "check-integration") (param i32) (result i32) (i32.const 1088))
    (@custom "idumb:agent/ceiling" "[[writes]]\npaths = [\"made/**\"]\nwhy = \"to make a file\"\n"))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "log" (func $log))
      (export "observe" (func $observe))
      (export "directories" (func $directories))
      (export "create" (func $create))
      (export "unlink" (func $unlink))
      (export "open" (func $open))
      (export "write" (func $write))
      (export "random" (func $random))
      (export "drop" (func $drop))))))

  (func $build (param "task" $task) (param "context" $context)
    (result (result $outcome (error $failure)))
    (canon lift (core func $main "build")
      (memory $libc "memory") (realloc (func $libc "realloc"))))
  (func $validate (param "task" $task) (param "context" $context)
    (result (result (list $finding) (error $failure)))
    (canon lift (core func $main "validate")
      (memory $libc "memory") (realloc (func $libc "realloc"))))
  (func $verify (param "tasks" (list $task)) (param "context" $context)
    (result (result (list $finding) (error $failure)))
    (canon lift (core func $main "verify")
      (memory $libc "memory") (realloc (func $libc "realloc"))))
  (func $check-integration (param "established" (list $criterion)) (param "links" (list $link))
    (param "context" $context)
    (result (result (list $finding) (error $failure)))
    (canon lift (core func $main "check-integration")
      (memory $libc "memory") (realloc (func $libc "realloc"))))
  (export "build" (func $build))
  (export "validate" (func $validate))
  (export "verify" (func $verify))
  (export "check-integration" (func $check-integration)))

;; A builder of core modules alone, for what no compiler puts into one.
;; It does what `try` does, and answers with a summary of as many bytes as that returns.
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
    (type $artifact' (record (field "task" string) (field "path" string) (field "digest" string)))
    (export "artifact" (type $artifact (eq $artifact')))
    (type $verdict' (enum "pass" "fail" "inconclusive"))
    (export "verdict" (type $verdict (eq $verdict')))
    (type $evidence-ref' string)
    (export "evidence-ref" (type $evidence-ref (eq $evidence-ref')))
    (type $finding' (record
      (field "criterion" string) (field "verdict" $verdict)
      (field "evidence" (list $evidence-ref)) (field "note" string)))
    (export "finding" (type $finding (eq $finding')))
    (type $context' (record
      (field "run" string) (field "phase" string) (field "goal" string) (field "attempt" u32)
      (field "artifacts" (list $artifact)) (field "feedback" (list $finding))
      (field "extra" (list $param))))
    (export "context" (type $context (eq $context')))
    (type $completion' (enum "done" "already-done"))
    (export "completion" (type $completion (eq $completion')))
    (type $outcome' (record
      (field "status" $completion) (field "summary" string)
      (field "evidence" (list $evidence-ref)) (field "artifacts" (list string))))
    (export "outcome" (type $outcome (eq $outcome')))
    (type $failure-kind' (enum
      "precondition" "denied" "unsupported" "invalid" "undecided" "other"))
    (export "failure-kind" (type $failure-kind (eq $failure-kind')))
    (type $failure' (record
      (field "kind" $failure-kind) (field "message" string) (field "step" (option u32))
      (field "retryable" bool)))
    (export "failure" (type $failure (eq $failure')))))
  (alias export $types "task" (type $task))
  (alias export $types "context" (type $context))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "failure" (type $failure))

  ;; What a test puts beside the module that is called.
  {beside}

  (core module $main
    {imports}
    (memory (export "memory") 4)
    (global $next (mut i32) (i32.const 65536))
    {inside}
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      {on-realloc}
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (func (export "build") (param i32) (result i32)
      ;; The outcome is at 16: all zero is `done`, without a word.
      (i32.store (i32.const 24) (i32.const 1024))
      (i32.store (i32.const 28) (call $try))
      (i32.const 16)))
  (core instance $main (instantiate $main {with}))
  (func (export "build") (param "task" $task) (param "context" $context)
    (result (result $outcome (error $failure)))
    (canon lift (core func $main "build")
      (memory $main "memory") (realloc (func $main "realloc")))))

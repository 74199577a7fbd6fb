"""Finds and edits the files that declare a claim or a workload in a Git repository. No Django, no cluster.

Values (``gitops.change``, ``gitops.values``)
    ``Tree.of(directory)`` / ``repository.tree(commit)``   files of one moment; edits are laid over it in memory
    ``FluxPath(path, target_namespace="", name_prefix="", name_suffix="", substitute={}, components=())``
                                                           the directory that a Flux Kustomization applies, and its options
    ``ObjectRef(kind, namespace, name)``                   an object by its live name; ``ObjectRef.claim(namespace, name)``
    ``Change(edits, summary, notes)``                      ``.diff`` unified, ``.digest`` SHA-256, ``.edits`` of FileEdit
    ``Declaration``                                        where an object is declared: file, document, span, chain

Requests: each edits the tree that it is given and returns its own Change, or raises ``Refusal`` (``.reason``,
``.what``, ``.path``, ``.by_hand``) and leaves the tree as it was. Several requests may follow each other on one tree;
``tree.change(summary)`` is all of them together.
    ``gitops.locate.locate(tree, flux, ref) -> Declaration``; ``declared(tree, flux, kinds) -> list[ObjectRef]``
    ``gitops.flux.stated(tree)``; ``options_in(tree, path) -> FluxPath | None``   Flux Kustomizations stated in Git
    ``gitops.remove.remove(tree, flux, ref) -> Change``
    ``gitops.add.add(tree, flux, ref, text, directory=None, file_name=None) -> Change``
    ``gitops.add.claim_text(...) -> str``                  a claim's manifest
    ``gitops.exempt.exempt(tree, flux, ref, value="enabled") -> Change``
    ``gitops.protect.protect(tree, flux, ref, how="auto") -> Change`` and ``protect_helm_release``, ``advice``
    ``gitops.replace.set_field(tree, flux, ref, field, value) -> Change``   field as ("spec", "replicas")
    ``gitops.revert.revert(tree, change) -> Change``           undoes a change, keeping what others changed since
    ``gitops.relocate.copy_to(tree, source, refs, destination, namespace, Copy(rename={...}), directory=None) -> Change``

Repository (``gitops.repository``)
    ``Repository(url, branch, directory, credentials=Credentials())``
    ``.refresh() -> str`` commit; ``.head``; ``.read(path, commit=None)``; ``.tree(commit=None) -> Tree``
    ``.commit_change(make, message, author, branch=None, reference="", key="") -> PushedCommit``
         where ``make(tree) -> Change`` is called again on the new state if the branch moved
    ``.contains(commit, ancestor) -> bool``; ``.log(since) -> list[LogEntry]``; ``.find_commit(reference, key)``
Errors (``gitops.errors``): Refusal, RepositoryError, RepositoryTimeout, PushRejected, PushConflict, ReviewOutdated.

From a shell: ``python -m gitops remove|add|exempt|protect --repo DIR --path DIR --namespace NS --claim NAME``.
"""

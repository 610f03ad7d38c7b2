# git: commits, branches, merges with conflicts, rebase, stash, gc, clones over a local path, bundles, hooks, worktrees.
# stderr: any
# limit: 120
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@x GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_PAGER=cat
git config --global init.defaultBranch main; git config --global protocol.file.allow always
git init repo; cd repo || exit 1
for i in $(seq 50); do mkdir -p d$((i % 5)); seq $((i * 100)) >d$((i % 5))/f$i; done; ln -s d1 link; echo '#!/bin/sh' >run; chmod +x run
git add .; git commit -q -m first; git log --oneline --stat | tail -3; git status --short
echo more >>d1/f1; rm d2/f2; git mv d3/f3 d3/moved; echo new >new; git status --porcelain; git diff --stat; git add -A; git commit -m second; git show --stat HEAD --format=%H | head -8
git checkout -q -b topic HEAD~1; echo topic >d1/f1; git commit -qam topic; git checkout -q main; git merge topic; echo "merge $?"; git status --short; git diff | head -12; echo resolved >d1/f1; git add d1/f1; git commit -qm merged; git log --graph --oneline --format=%s
git checkout -q -b side main~1; echo side >side; git add side; git commit -qm side; git rebase -q main; git log --format=%s | head -3; git checkout -q main; git merge --ff-only side | tail -1; echo dirty >>new; git stash; git stash list; git stash pop | tail -1; git checkout -- new; git tag -a v1 -m tag; git describe; git cherry-pick --no-commit topic; git reset -q --hard
git gc -q; git count-objects -v | grep -E '^(count|in-pack|packs)'; git fsck --full; git repack -adq; git prune; git verify-pack -v .git/objects/pack/*.idx | grep -c commit
cd ..; git clone -q repo clone; git clone -q --bare repo bare.git; git clone -q --depth 1 "file://$PWD/repo" shallow; git -C shallow log --oneline | wc -l; git clone -q --shared repo shared; diff -r --exclude=.git repo clone && echo same
cd clone; git log -1 --format=%H; echo x >fromclone; git add .; git commit -qm fromclone; git push -q "$PWD/../bare.git" HEAD:refs/heads/pushed; git -C ../bare.git branch --list; git fetch -q ../bare.git pushed; git rev-parse FETCH_HEAD; git remote -v | wc -l; git pull -q --rebase; git blame -s d0/f5 | head -2; git grep -c 4242; git bisect start HEAD v1~1 2>&1 | head -1; git bisect reset -q
cat >.git/hooks/pre-commit <<'END'
#!/bin/sh
echo "hook runs in $(basename "$PWD")"; grep -q bad new && exit 1; exit 0
END
chmod +x .git/hooks/pre-commit; echo bad >new; git commit -qam hooked; echo "commit $?"; echo good >new; git commit -qam hooked; echo "commit $?"; git worktree add -q ../wt HEAD~1; git worktree list | wc -l; git archive HEAD | tar t | wc -l; git bundle create -q ../b.bundle HEAD; git bundle verify -q ../b.bundle; echo "bundle $?"; git format-patch -1 --stdout | git -C ../wt am -q; git -C ../wt log -1 --format=%s; git submodule add -q ../repo sub; git submodule status | wc -l; git config --list --local | wc -l; git ls-files -s | md5sum; git cat-file -p HEAD | head -3; git hash-object new; git check-ignore x; git clean -ndx | wc -l; printf 'blob\nmark :1\ndata 3\nabc\n' | git fast-import --quiet; echo "import $?"; git rev-list --objects --all | wc -l; git -c core.editor=true commit --amend -q --no-edit; git reflog | wc -l; git shortlog -sn HEAD | cat; git log -p --format=%h | md5sum

# SPDX-License-Identifier: MIT
# The engine's sources, for builds of their own: include this file.
CF_CORE_SOURCES = alloc.c audit.c block.c bulk.c cache.c chunk.c compact.c content.c device.c drain.c error.c export.c frame.c index.c isolate.c lock.c map.c merge.c migrate.c notify.c offline.c offlining.c owner.c pagemap.c range.c retire.c run.c search.c side.c stat.c verify.c vmcoreinfo.c walk.c

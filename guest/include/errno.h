/* SPDX-License-Identifier: MIT */
#ifndef GUEST_ERRNO_H
#define GUEST_ERRNO_H

int *guest_errno(void);
#define errno	(*guest_errno())

#define EAGAIN		11
#define ENOMEM		12
#define EBUSY		16
#define EINVAL		22
#define ENOSYS		38
#define ETIMEDOUT	110

#endif
